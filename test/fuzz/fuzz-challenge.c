/* SPDX-License-Identifier: Apache-2.0 */
/* Input: a header WWW-Authenticate. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dispatcher/image/challenge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size);
    Challenge challenge;

    if (text && challenge_parse(text, &challenge) == 0 &&
        (challenge.scheme == CHALLENGE_NONE ||
         (challenge.scheme == CHALLENGE_BEARER && !challenge.realm[0])))
        abort();
    free(text);
    return 0;
}
