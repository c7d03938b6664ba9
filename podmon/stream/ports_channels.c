/* SPDX-License-Identifier: Apache-2.0 */
/* Ports over the channels of a WebSocket, two for each port: data, and an error's text. */
#include <errno.h>
#include <string.h>

#include "podmon/stream/base64.h"
#include "podmon/stream/link.h"
#include "podmon/stream/ports.h"
#include "podmon/stream/websocket.h"
#include "shared/cleanup.h"
#include "shared/fd.h"

enum { MESSAGE_BYTES = 32 * 1024 };

typedef struct Ports Ports;

typedef struct Lane {
    Ports *ports;
    unsigned port;
    Target *target; /* NULL: over */
    bool is_full;
} Lane;

struct Ports {
    EventLoop *loop;
    const StreamPlan *plan;
    const StreamProtocol *protocol;
    Link *link;
    WebSocket *websocket;
    PortsControl control;
    Lane lanes[PORTS_CHANNELS_MAX];
    size_t lanes_count;
    size_t open_count;
    size_t full_count;
    bool is_over;
};

static void end_session(Ports *ports)
{
    if (ports->is_over)
        return;
    ports->is_over = true;
    ports->control.source = event_free(ports->control.source);
    fd_close(&ports->control.fd);
    for (size_t i = 0; i < ports->lanes_count; i++)
        ports->lanes[i].target = target_free(ports->lanes[i].target);
    websocket_close(ports->websocket);
    link_finish(ports->link);
}

static size_t data_channel(const Lane *lane)
{
    return (size_t)(lane - lane->ports->lanes) * 2;
}

static void send_message(Ports *ports, size_t channel, const void *bytes, size_t size)
{
    bool is_base64 = ports->protocol->is_base64;
    uint8_t first = (uint8_t)((is_base64 ? '0' : 0) + channel);
    char text[BASE64_SIZE(MESSAGE_BYTES)];
    struct iovec parts[2] = {{&first, 1}, {(void *)(uintptr_t)bytes, size}};

    if (is_base64)
        parts[1] = (struct iovec){text, base64_encode(bytes, size, text)};
    websocket_send(ports->websocket, is_base64, parts, 2);
}

static void set_full(Lane *lane, bool full)
{
    Ports *ports = lane->ports;

    if (lane->is_full == full)
        return;
    lane->is_full = full;
    ports->full_count += full ? 1 : (size_t)-1;
    link_pause(ports->link, ports->full_count > 0);
}

/* The session ends with the last port. */
static void lane_end(Lane *lane)
{
    set_full(lane, false);
    lane->target = target_free(lane->target);
    if (--lane->ports->open_count == 0)
        end_session(lane->ports);
}

static bool target_has_room(void *data)
{
    const Lane *lane = data;

    return link_has_room(lane->ports->link);
}

static ssize_t target_pass(void *data, int fd)
{
    const Lane *lane = data;
    const uint8_t *bytes;
    ssize_t size = link_take(lane->ports->link, fd, false, &bytes);

    for (ssize_t left = size; left > 0;) {
        size_t length = left < MESSAGE_BYTES ? (size_t)left : MESSAGE_BYTES;

        send_message(lane->ports, data_channel(lane), bytes, length);
        bytes += length;
        left -= (ssize_t)length;
    }
    return size;
}

/* There is no way to say that a port has ended; the client's half ends with it. */
static void target_ended(void *data)
{
    const Lane *lane = data;

    target_end(lane->target);
}

static void target_drained(void *data)
{
    set_full(data, false);
}

static void target_done(void *data)
{
    lane_end(data);
}

static void target_failed(void *data, const char *reason)
{
    Lane *lane = data;
    char text[PORTS_ERROR_SIZE];

    ports_explain(lane->ports->plan, lane->port, reason, text);
    send_message(lane->ports, data_channel(lane) + 1, text, strlen(text));
    lane_end(lane);
}

static const TargetEvents TARGET_EVENTS = {target_has_room, target_pass, target_ended,
                                           target_drained,  target_done, target_failed};

static void on_message(void *data, bool is_text, const uint8_t *bytes, size_t size)
{
    Ports *ports = data;
    bool is_base64 = ports->protocol->is_base64;
    size_t channel = size == 0 ? 0 : (size_t)bytes[0] - (is_base64 ? '0' : 0);
    Lane *lane = &ports->lanes[channel / 2 % PORTS_CHANNELS_MAX];
    AUTO_FREE uint8_t *decoded = NULL;
    ssize_t length = (ssize_t)size - 1;

    (void)is_text;
    if (length <= 0 || channel % 2 != 0 || channel / 2 >= ports->lanes_count || !lane->target)
        return;
    if (is_base64) {
        decoded = malloc(size);
        length = decoded ? base64_decode((const char *)bytes + 1, size - 1, decoded) : -ENOMEM;
    }
    if (length > 0)
        set_full(lane, target_write(lane->target, decoded ? decoded : bytes + 1, (size_t)length) >=
                           TARGET_QUEUE_MAX);
}

static void send_bytes(void *data, const struct iovec *parts, int count)
{
    const Ports *ports = data;

    link_write(ports->link, parts, count);
}

static void on_input(void *data, const uint8_t *bytes, size_t size)
{
    Ports *ports = data;

    if (websocket_feed(ports->websocket, bytes, size) < 0)
        end_session(ports);
}

static void on_room(void *data)
{
    const Ports *ports = data;

    for (size_t i = 0; i < ports->lanes_count; i++)
        if (ports->lanes[i].target)
            target_resume(ports->lanes[i].target);
}

static void on_quit(void *data)
{
    end_session(data);
}

static void on_closed(void *data)
{
    const Ports *ports = data;

    event_loop_exit(ports->loop, 0);
}

/* Both channels of a port begin with its number, little-endian. */
static int open_lanes(Ports *ports)
{
    const Podmon__PrepareStream *request = ports->plan->request;
    int r = 0;

    ports->open_count = request->n_ports; /* The first that ends must not end the session. */
    for (size_t i = 0; r >= 0 && i < request->n_ports; i++) {
        Lane *lane = &ports->lanes[i];
        uint8_t number[2] = {(uint8_t)request->ports[i], (uint8_t)(request->ports[i] >> 8)};

        *lane = (Lane){.ports = ports, .port = request->ports[i]};
        ports->lanes_count++;
        send_message(ports, i * 2, number, sizeof(number));
        send_message(ports, i * 2 + 1, number, sizeof(number));
        r = target_new(ports->loop, (uint16_t)lane->port, &TARGET_EVENTS, lane, &lane->target);
    }
    if (request->n_ports == 0)
        end_session(ports);
    return r;
}

int ports_serve_channels(EventLoop *loop, const StreamPlan *plan, const Handshake *handshake,
                         const void *rest, size_t size)
{
    static const LinkEvents link_events = {on_input, on_room, on_quit, on_closed, NULL};
    static const WebSocketEvents websocket_events = {on_message, send_bytes};
    struct iovec answer = {(void *)(uintptr_t)handshake->answer, handshake->size};
    Ports ports = {.loop = loop, .plan = plan, .protocol = handshake->protocol};
    int r;

    ports.control = (PortsControl){plan->control_fd, NULL, on_quit, &ports};
    r = link_new(loop, plan->client_fd, &link_events, &ports, &ports.link);
    if (r >= 0)
        r = websocket_new(&websocket_events, &ports, &ports.websocket);
    if (r >= 0)
        r = ports_watch_control(loop, &ports.control);
    if (r >= 0) {
        link_write(ports.link, &answer, 1);
        r = open_lanes(&ports);
    }
    if (r >= 0 && size > 0)
        on_input(&ports, rest, size);
    if (r >= 0)
        r = event_loop_run(loop);
    websocket_free(ports.websocket);
    link_free(ports.link);
    return r;
}
