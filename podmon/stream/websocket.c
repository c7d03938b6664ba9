/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/stream/websocket.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

enum {
    FIN = 0x80,
    LENGTH_16 = 126, /* the length follows in two bytes */
    LENGTH_64 = 127, /* in eight */
    PARTS_MAX = 4,
};

struct WebSocket {
    const WebSocketEvents *events;
    void *data;
    wslay_event_context_ptr wslay;
    const uint8_t *input; /* what wslay has still to take of a websocket_feed */
    size_t input_size;
    int result;
    bool closed; /* our close frame is sent */
};

static ssize_t give_input(wslay_event_context_ptr wslay, uint8_t *ret, size_t size, int flags,
                          void *data)
{
    WebSocket *socket = data;
    size_t taken = size < socket->input_size ? size : socket->input_size;

    (void)flags;
    if (taken == 0) {
        wslay_event_set_error(wslay, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(ret, socket->input, taken);
    socket->input += taken;
    socket->input_size -= taken;
    return (ssize_t)taken;
}

static ssize_t take_output(wslay_event_context_ptr wslay, const uint8_t *bytes, size_t size,
                           int flags, void *data)
{
    WebSocket *socket = data;
    struct iovec part = {(void *)(uintptr_t)bytes, size};

    (void)wslay;
    (void)flags;
    socket->events->write(socket->data, &part, 1);
    return (ssize_t)size;
}

static void take_message(wslay_event_context_ptr wslay,
                         const struct wslay_event_on_msg_recv_arg *message, void *data)
{
    WebSocket *socket = data;

    (void)wslay;
    if (message->opcode == WSLAY_CONNECTION_CLOSE)
        socket->result = -ECONNRESET;
    else if (!wslay_is_ctrl_frame(message->opcode) && socket->result == 0)
        socket->events->message(socket->data, message->opcode == WSLAY_TEXT_FRAME, message->msg,
                                message->msg_length);
}

int websocket_new(const WebSocketEvents *events, void *data, WebSocket **ret)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = give_input,
        .send_callback = take_output,
        .on_msg_recv_callback = take_message,
    };
    WebSocket *socket = calloc(1, sizeof(*socket));

    if (!socket)
        return -ENOMEM;
    if (wslay_event_context_server_init(&socket->wslay, &callbacks, socket) != 0) {
        free(socket);
        return -ENOMEM;
    }
    wslay_event_config_set_max_recv_msg_length(socket->wslay, WEBSOCKET_IN_MAX);
    socket->events = events;
    socket->data = data;
    *ret = socket;
    return 0;
}

WebSocket *websocket_free(WebSocket *socket)
{
    if (!socket)
        return NULL;
    wslay_event_context_free(socket->wslay);
    free(socket);
    return NULL;
}

/* Pongs and close frames; they are written whole, so that a message of ours may always follow. */
static void send_queued(WebSocket *socket)
{
    if (!socket->closed && wslay_event_send(socket->wslay) != 0)
        socket->result = -EBADMSG;
    if (wslay_event_get_close_sent(socket->wslay))
        socket->closed = true;
}

int websocket_feed(WebSocket *socket, const uint8_t *bytes, size_t size)
{
    if (socket->result != 0)
        return socket->result;
    socket->input = bytes;
    socket->input_size = size;
    if (wslay_event_recv(socket->wslay) != 0)
        socket->result = -EBADMSG;
    send_queued(socket);
    if (socket->result == 0 && !wslay_event_get_read_enabled(socket->wslay))
        socket->result = -EBADMSG;
    return socket->result;
}

static size_t put_header(bool is_text, size_t size, uint8_t *ret)
{
    size_t length;

    ret[0] = FIN | (is_text ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME);
    if (size < LENGTH_16) {
        ret[1] = (uint8_t)size;
        return 2;
    }
    ret[1] = size <= UINT16_MAX ? LENGTH_16 : LENGTH_64;
    length = size <= UINT16_MAX ? 2 : 8;
    for (size_t i = 0; i < length; i++)
        ret[2 + i] = (uint8_t)(size >> 8 * (length - 1 - i));
    return 2 + length;
}

size_t websocket_header(uint8_t channel, size_t size, uint8_t *ret)
{
    size_t length = put_header(false, size + 1, ret);

    ret[length] = channel;
    return length + 1;
}

/* Framed here and not by the library, which would copy every byte once more. */
void websocket_send(WebSocket *socket, bool is_text, const struct iovec *parts, int count)
{
    uint8_t header[WEBSOCKET_HEADER_MAX];
    struct iovec all[PARTS_MAX + 1] = {{header, 0}};
    size_t size = 0;

    assert(count <= PARTS_MAX);
    for (int i = 0; i < count; i++) {
        all[i + 1] = parts[i];
        size += parts[i].iov_len;
    }
    all[0].iov_len = put_header(is_text, size, header);
    if (!socket->closed)
        socket->events->write(socket->data, all, count + 1);
}

void websocket_close(WebSocket *socket)
{
    if (!socket->closed &&
        wslay_event_queue_close(socket->wslay, WSLAY_CODE_NORMAL_CLOSURE, NULL, 0) == 0)
        send_queued(socket);
}
