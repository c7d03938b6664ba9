/* SPDX-License-Identifier: Apache-2.0 */
/* Input: what a client has sent so far. */
#include <stdlib.h>
#include <string.h>

#include "dispatcher/stream/route.h"
#include "podmon/stream/handshake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size > 0 ? size : 1);
    HttpHead head;
    StreamRoute route;
    Handshake handshake;

    if (copy && size > 0)
        memcpy(copy, data, size);
    if (copy && http_head_parse(copy, size, &head) > 0) {
        if (head.size > size)
            abort();
        (void)stream_route_parse(&head, &route);
        handshake_answer(&head, STREAM_USE_COMMAND, &handshake);
        handshake_answer(&head, STREAM_USE_PORTS, &handshake);
        if (handshake.size >= sizeof(handshake.answer) || handshake.size == 0)
            abort();
    }
    free(copy);
    return 0;
}
