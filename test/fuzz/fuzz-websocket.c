/* SPDX-License-Identifier: Apache-2.0 */
/* Input: the size of the portions (one byte), then what a client sends in them. */
#include <stdlib.h>

#include "podmon/stream/base64.h"
#include "podmon/stream/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_message(void *data, bool is_text, const uint8_t *bytes, size_t size)
{
    uint8_t *decoded = malloc(size > 0 ? size : 1);

    (void)data;
    (void)is_text;
    if (size > WEBSOCKET_IN_MAX)
        abort();
    if (decoded && size > 1)
        (void)base64_decode((const char *)bytes + 1, size - 1, decoded);
    free(decoded);
}

static void on_write(void *data, const struct iovec *parts, int count)
{
    (void)data;
    (void)parts;
    (void)count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const WebSocketEvents events = {on_message, on_write};
    size_t portion = size > 0 ? data[0] + 1U : 1;
    WebSocket *socket = NULL;

    if (websocket_new(&events, NULL, &socket) < 0)
        return 0;
    for (size_t i = 1; i < size; i += portion)
        if (websocket_feed(socket, data + i, size - i < portion ? size - i : portion) < 0)
            break;
    websocket_close(socket);
    websocket_free(socket);
    return 0;
}
