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
    MASKED = 0x80,
    LENGTH_BITS = 0x7f,
    MASK_SIZE = 4,
    HEADER_MAX = 14, /* of a client's frame: two bytes, the length, the mask */
    LARGE_MIN = 1024,
    PARTS_MAX = 4,
};

/* The frame that is being read. */
typedef struct Frame {
    uint8_t header[HEADER_MAX];
    size_t header_size;
    uint64_t left; /* of its payload */
    bool is_large; /* a message of its own that is not left to wslay */
} Frame;

struct WebSocket {
    const WebSocketEvents *events;
    void *data;
    wslay_event_context_ptr wslay;
    const uint8_t *input; /* what wslay has still to take of a websocket_feed */
    size_t input_size;
    int result;
    bool closed; /* our close frame is sent */

    Frame frame;
    bool is_split;    /* a message has begun that more frames will end */
    uint8_t *message; /* the last large one, or a part of it */
    size_t message_size, message_capacity;
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
    free(socket->message);
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

static void feed_wslay(WebSocket *socket, const uint8_t *bytes, size_t size)
{
    socket->input = bytes;
    socket->input_size = size;
    if (wslay_event_recv(socket->wslay) != 0)
        socket->result = -EBADMSG;
    send_queued(socket);
    if (socket->result == 0 && !wslay_event_get_read_enabled(socket->wslay))
        socket->result = -EBADMSG;
}

/* ---- large messages */

/* How long a header is that begins with these two bytes. */
static size_t header_length(const uint8_t *header)
{
    size_t length = header[1] & LENGTH_BITS;

    return 2 +
           (length == LENGTH_16   ? 2U
            : length == LENGTH_64 ? 8U
                                  : 0U) +
           (header[1] & MASKED ? MASK_SIZE : 0U);
}

static uint64_t payload_length(const uint8_t *header)
{
    uint64_t length = header[1] & LENGTH_BITS;
    size_t bytes = length == LENGTH_16 ? 2 : length == LENGTH_64 ? 8 : 0;

    for (size_t i = 0; i < bytes; i++)
        length = (i == 0 ? 0 : length << 8) | header[2 + i];
    return length;
}

/* One frame, binary, whole, masked, and as short a header as there is: all else, and whatever is
 * wrong, is left to wslay. */
static bool is_large(const WebSocket *socket, uint64_t length)
{
    const uint8_t *header = socket->frame.header;

    return header[0] == (FIN | WSLAY_BINARY_FRAME) && (header[1] & MASKED) && !socket->is_split &&
           length >= LARGE_MIN && length <= WEBSOCKET_IN_MAX &&
           (length > UINT16_MAX) == ((header[1] & LENGTH_BITS) == LENGTH_64);
}

static void begin_large(WebSocket *socket)
{
    size_t length = (size_t)socket->frame.left;

    socket->message_size = 0;
    if (length <= socket->message_capacity)
        return;
    free(socket->message);
    socket->message = malloc(length);
    socket->message_capacity = socket->message ? length : 0;
    if (!socket->message)
        socket->result = -EBADMSG;
}

static bool is_in_payload(const WebSocket *socket)
{
    const Frame *frame = &socket->frame;

    return frame->header_size >= 2 && frame->header_size == header_length(frame->header);
}

/* The header is whole. */
static void begin_frame(WebSocket *socket)
{
    Frame *frame = &socket->frame;

    frame->left = payload_length(frame->header);
    frame->is_large = is_large(socket, frame->left);
    if (frame->is_large) {
        begin_large(socket);
        return;
    }
    if (!wslay_is_ctrl_frame(frame->header[0] & 0xf))
        socket->is_split = !(frame->header[0] & FIN);
    feed_wslay(socket, frame->header, frame->header_size);
}

static size_t take_header(WebSocket *socket, const uint8_t *bytes, size_t size)
{
    Frame *frame = &socket->frame;
    size_t taken = 0;

    while (taken < size && !is_in_payload(socket))
        frame->header[frame->header_size++] = bytes[taken++];
    if (is_in_payload(socket))
        begin_frame(socket);
    return taken;
}

/* `offset`: of these bytes in the payload. */
static void unmask(uint8_t *ret, const uint8_t *bytes, size_t size, const uint8_t *mask,
                   size_t offset)
{
    uint8_t key[sizeof(uint64_t)];
    uint64_t wide_key, wide;
    size_t i = 0;

    for (size_t j = 0; j < sizeof(key); j++)
        key[j] = mask[(offset + j) % MASK_SIZE];
    memcpy(&wide_key, key, sizeof(key));
    for (; i + sizeof(wide) <= size; i += sizeof(wide)) {
        memcpy(&wide, bytes + i, sizeof(wide));
        wide ^= wide_key;
        memcpy(ret + i, &wide, sizeof(wide));
    }
    for (; i < size; i++)
        ret[i] = bytes[i] ^ key[i % MASK_SIZE];
}

static size_t take_payload(WebSocket *socket, const uint8_t *bytes, size_t size)
{
    Frame *frame = &socket->frame;
    size_t taken = size < frame->left ? size : (size_t)frame->left;

    if (frame->is_large) {
        unmask(socket->message + socket->message_size, bytes, taken,
               frame->header + frame->header_size - MASK_SIZE, socket->message_size);
        socket->message_size += taken;
    } else if (taken > 0) {
        feed_wslay(socket, bytes, taken);
    }
    frame->left -= taken;
    return taken;
}

/* The payload is whole. */
static void end_frame(WebSocket *socket)
{
    socket->frame.header_size = 0;
    if (socket->frame.is_large)
        socket->events->message(socket->data, false, socket->message, socket->message_size);
}

int websocket_feed(WebSocket *socket, const uint8_t *bytes, size_t size)
{
    while (size > 0 && socket->result == 0) {
        size_t taken = is_in_payload(socket) ? take_payload(socket, bytes, size)
                                             : take_header(socket, bytes, size);

        bytes += taken;
        size -= taken;
        if (socket->result == 0 && is_in_payload(socket) && socket->frame.left == 0)
            end_frame(socket);
    }
    return socket->result;
}

/* ---- out */

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
