/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/stream/transport.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "podmon/stream/base64.h"
#include "podmon/stream/link.h"
#include "podmon/stream/spdy.h"
#include "podmon/stream/websocket.h"
#include "shared/clock.h"

enum {
    MESSAGE_BYTES = 32 * 1024, /* of a channel in one WebSocket message */
    VERSION_CLOSE = 5,         /* the first in which a client can close a channel */
};

typedef struct Stream {
    uint32_t id; /* 0: not there */
    bool no_input, no_output;
} Stream;

struct Transport {
    EventLoop *loop;
    const StreamProtocol *protocol;
    const TransportEvents *events;
    void *data;
    Link *link;
    Spdy *spdy; /* one of the two */
    WebSocket *websocket;
    unsigned channels; /* wanted; bit n is a Channel */
    unsigned missing;  /* not yet opened */
    Stream streams[CHANNELS];
    EventSource *deadline; /* of the streams */
    bool is_over;
};

static bool has_channel(const Transport *transport, size_t channel)
{
    return channel < CHANNELS && transport->channels & 1U << channel;
}

static void be_gone(Transport *transport)
{
    if (transport->is_over)
        return;
    transport->is_over = true;
    transport->deadline = event_free(transport->deadline);
    transport->events->gone(transport->data);
}

static void be_ready(Transport *transport)
{
    transport->deadline = event_free(transport->deadline);
    transport->events->ready(transport->data);
}

/* ---- SPDY */

static Stream *find_stream(Transport *transport, uint32_t id)
{
    for (int i = 0; i < CHANNELS; i++)
        if (transport->streams[i].id == id)
            return &transport->streams[i];
    return NULL;
}

static Channel channel_of(const Transport *transport, const Stream *stream)
{
    return (Channel)(stream - transport->streams);
}

static void on_spdy_open(void *data, uint32_t id, const SpdyHeaders *headers)
{
    Transport *transport = data;
    const char *name = spdy_headers_get(headers, "streamtype");
    int channel = name ? channel_parse(name) : -EINVAL;

    if (channel < 0 || !(transport->missing & 1U << channel)) {
        spdy_reset(transport->spdy, id, SPDY_REFUSED_STREAM);
        return;
    }
    spdy_reply(transport->spdy, id);
    transport->streams[channel].id = id;
    transport->missing &= ~(1U << channel);
    if (transport->missing == 0)
        be_ready(transport);
}

static void on_spdy_bytes(void *data, uint32_t id, const uint8_t *bytes, size_t size)
{
    Transport *transport = data;
    Stream *stream = id == 0 ? NULL : find_stream(transport, id);

    if (stream && !stream->no_input && !transport->is_over)
        transport->events->bytes(transport->data, channel_of(transport, stream), bytes, size);
}

static void on_spdy_end(void *data, uint32_t id)
{
    Transport *transport = data;
    Stream *stream = id == 0 ? NULL : find_stream(transport, id);

    if (!stream || stream->no_input || transport->is_over)
        return;
    stream->no_input = true;
    transport->events->end(transport->data, channel_of(transport, stream));
}

static void on_spdy_reset(void *data, uint32_t id)
{
    Transport *transport = data;
    Stream *stream = id == 0 ? NULL : find_stream(transport, id);

    if (!stream)
        return;
    on_spdy_end(transport, id);
    stream->no_output = true;
}

static void on_write(void *data, const struct iovec *parts, int count)
{
    const Transport *transport = data;

    link_write(transport->link, parts, count);
}

static const SpdyEvents SPDY_EVENTS = {on_spdy_open, on_spdy_bytes, on_spdy_end, on_spdy_reset,
                                       on_write};

/* ---- WebSocket */

/* v5: the client closes a channel. Anything else behind the byte ends the connection. */
static void close_channel(Transport *transport, const uint8_t *bytes, size_t size)
{
    if (size != 1 || bytes[0] > CHANNEL_RESIZE)
        be_gone(transport);
    else if (has_channel(transport, bytes[0]) && !transport->streams[bytes[0]].no_input) {
        transport->streams[bytes[0]].no_input = true;
        transport->events->end(transport->data, (Channel)bytes[0]);
    }
}

static void take_channel(Transport *transport, uint8_t channel, const uint8_t *bytes, size_t size)
{
    if (channel == CHANNEL_CLOSE && transport->protocol->version >= VERSION_CLOSE)
        close_channel(transport, bytes, size);
    else if (has_channel(transport, channel) && !transport->streams[channel].no_input && size > 0)
        transport->events->bytes(transport->data, (Channel)channel, bytes, size);
}

static void on_message(void *data, bool is_text, const uint8_t *bytes, size_t size)
{
    Transport *transport = data;
    uint8_t *decoded;
    ssize_t length;

    (void)is_text;
    if (size == 0 || transport->is_over)
        return;
    if (!transport->protocol->is_base64) {
        take_channel(transport, bytes[0], bytes + 1, size - 1);
        return;
    }
    decoded = malloc(size);
    length = decoded ? base64_decode((const char *)bytes + 1, size - 1, decoded) : -ENOMEM;
    if (length > 0 && bytes[0] >= '0')
        take_channel(transport, (uint8_t)(bytes[0] - '0'), decoded, (size_t)length);
    free(decoded);
}

static const WebSocketEvents WEBSOCKET_EVENTS = {on_message, on_write};

static void send_message(Transport *transport, Channel channel, const void *bytes, size_t size)
{
    bool is_base64 = transport->protocol->is_base64;
    uint8_t first = (uint8_t)((is_base64 ? '0' : 0) + (int)channel);
    char text[BASE64_SIZE(MESSAGE_BYTES)];
    struct iovec parts[2] = {{&first, 1}, {(void *)(uintptr_t)bytes, size}};

    if (is_base64)
        parts[1] = (struct iovec){text, base64_encode(bytes, size, text)};
    websocket_send(transport->websocket, is_base64, parts, 2);
}

static void send_messages(Transport *transport, Channel channel, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        size_t length = size < MESSAGE_BYTES ? size : MESSAGE_BYTES;

        send_message(transport, channel, bytes, length);
        bytes += length;
        size -= length;
    }
}

/* An empty message tells the client that we are there. */
static void greet(Transport *transport)
{
    send_message(transport,
                 has_channel(transport, CHANNEL_STDOUT)   ? CHANNEL_STDOUT
                 : has_channel(transport, CHANNEL_STDERR) ? CHANNEL_STDERR
                                                          : CHANNEL_ERROR,
                 NULL, 0);
}

/* ---- both */

static void on_input(void *data, const uint8_t *bytes, size_t size)
{
    Transport *transport = data;
    int r = transport->spdy ? spdy_feed(transport->spdy, bytes, size)
                            : websocket_feed(transport->websocket, bytes, size);

    if (r == -EBADMSG && transport->spdy)
        spdy_goaway(transport->spdy, SPDY_GOAWAY_PROTOCOL_ERROR);
    if (r < 0)
        be_gone(transport);
}

static void on_room(void *data)
{
    const Transport *transport = data;

    if (!transport->is_over)
        transport->events->room(transport->data);
}

static void on_gone(void *data)
{
    be_gone(data);
}

static void on_closed(void *data)
{
    const Transport *transport = data;

    transport->events->closed(transport->data);
}

static void on_deadline(void *data, uint32_t events)
{
    Transport *transport = data;

    (void)events;
    for (int i = 0; i < CHANNELS; i++)
        if (transport->streams[i].id != 0)
            spdy_reset(transport->spdy, transport->streams[i].id, SPDY_CANCEL);
    be_gone(transport);
}

static int open_protocol(Transport *transport)
{
    uint64_t deadline = clock_monotonic() + TRANSPORT_STREAMS_SECONDS * CLOCK_SECOND;
    int r;

    if (transport->protocol->is_websocket)
        return websocket_new(&WEBSOCKET_EVENTS, transport, &transport->websocket);
    if (transport->protocol->version < 3)
        transport->channels &= ~(1U << CHANNEL_RESIZE);
    transport->missing = transport->channels;
    r = spdy_new(&SPDY_EVENTS, transport, &transport->spdy);
    return r < 0 ? r
                 : event_add_timer(transport->loop, deadline, on_deadline, transport,
                                   &transport->deadline);
}

int transport_new(EventLoop *loop, int fd, const Handshake *handshake, unsigned channels,
                  const TransportEvents *events, void *data, Transport **ret)
{
    static const LinkEvents link_events = {on_input, on_room, on_gone, on_closed, NULL};
    Transport *transport = calloc(1, sizeof(*transport));
    struct iovec answer = {(void *)(uintptr_t)handshake->answer, handshake->size};
    int r;

    if (!transport) {
        (void)close(fd);
        return -ENOMEM;
    }
    *transport = (Transport){.loop = loop,
                             .protocol = handshake->protocol,
                             .events = events,
                             .data = data,
                             .channels = channels};
    r = link_new(loop, fd, &link_events, transport, &transport->link);
    if (r >= 0)
        r = open_protocol(transport);
    if (r < 0) {
        transport_free(transport);
        return r;
    }
    link_write(transport->link, &answer, 1);
    *ret = transport;
    return 0;
}

void transport_begin(Transport *transport, const void *bytes, size_t size)
{
    if (transport->websocket) {
        greet(transport);
        be_ready(transport);
    }
    if (size > 0)
        on_input(transport, bytes, size);
}

Transport *transport_free(Transport *transport)
{
    if (!transport)
        return NULL;
    event_free(transport->deadline);
    spdy_free(transport->spdy);
    websocket_free(transport->websocket);
    link_free(transport->link);
    free(transport);
    return NULL;
}

void transport_write(Transport *transport, Channel channel, const void *bytes, size_t size)
{
    const Stream *stream = &transport->streams[channel];

    if (!has_channel(transport, channel) || stream->no_output)
        return;
    if (transport->spdy)
        spdy_write(transport->spdy, stream->id, bytes, size);
    else
        send_messages(transport, channel, bytes, size);
}

ssize_t transport_pass(Transport *transport, Channel channel, int fd)
{
    const Stream *stream = &transport->streams[channel];
    bool is_open = has_channel(transport, channel) && !stream->no_output;
    uint8_t header[WEBSOCKET_HEADER_MAX];
    size_t header_size = SPDY_FRAME_HEADER;
    const uint8_t *bytes;
    ssize_t size =
        link_take(transport->link, fd, is_open && !transport->protocol->is_base64, &bytes);

    if (size <= 0)
        return size;
    if (bytes) {
        transport_write(transport, channel, bytes, (size_t)size);
        return size;
    }
    if (transport->spdy)
        spdy_data_header(stream->id, (size_t)size, header);
    else
        header_size = websocket_header((uint8_t)channel, (size_t)size, header);
    link_move(transport->link, header, header_size);
    return size;
}

bool transport_has_room(const Transport *transport)
{
    return link_has_room(transport->link);
}

void transport_pause(Transport *transport, bool pause)
{
    link_pause(transport->link, pause);
}

static void end_stream(Transport *transport, Channel channel)
{
    const Stream *stream = &transport->streams[channel];

    if (stream->id != 0 && !stream->no_output)
        spdy_end(transport->spdy, stream->id);
}

static void cancel_stream(Transport *transport, Channel channel)
{
    if (transport->streams[channel].id != 0)
        spdy_reset(transport->spdy, transport->streams[channel].id, SPDY_CANCEL);
}

void transport_finish(Transport *transport, const Text *status)
{
    transport->is_over = true;
    if (transport->spdy) {
        end_stream(transport, CHANNEL_STDOUT);
        end_stream(transport, CHANNEL_STDERR);
    }
    if (status->size > 0)
        transport_write(transport, CHANNEL_ERROR, status->data, status->size);
    if (transport->spdy) {
        end_stream(transport, CHANNEL_ERROR);
        cancel_stream(transport, CHANNEL_STDIN);
        cancel_stream(transport, CHANNEL_RESIZE);
    }
    transport_abort(transport);
}

void transport_abort(Transport *transport)
{
    transport->is_over = true;
    if (transport->spdy)
        spdy_goaway(transport->spdy, SPDY_GOAWAY_OK);
    else
        websocket_close(transport->websocket);
    link_finish(transport->link);
}
