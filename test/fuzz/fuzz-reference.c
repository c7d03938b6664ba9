/* SPDX-License-Identifier: Apache-2.0 */
/* Input: an image's name. What is accepted must read as itself once it is normalised. */
#include <stdlib.h>
#include <string.h>

#include "dispatcher/image/reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size), printed[IMAGE_REFERENCE_SIZE];
    ImageReference reference, again;
    Failure why;

    if (text && image_reference_parse(text, &reference, &why) == 0) {
        if (reference.digest[0])
            image_reference_print_digest(&reference, reference.digest, printed);
        else
            image_reference_print_tag(&reference, printed);
        if (strstr(reference.repository, "..") || strstr(reference.registry, "..") ||
            image_reference_parse(printed, &again, &why) < 0 ||
            strcmp(reference.registry, again.registry) != 0 ||
            strcmp(reference.repository, again.repository) != 0)
            abort();
    }
    free(text);
    return 0;
}
