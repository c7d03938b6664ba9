/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/stream/ports.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "podmon/stream/control.h"
#include "podmon/stream/link.h"
#include "podmon/stream/portforward.h"
#include "podmon/stream/queue.h"
#include "podmon/stream/spdy.h"
#include "podmon/stream/websocket.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"

typedef struct Ports Ports;

/* One forwarded connection. */
typedef struct Pair {
    Ports *ports;
    struct Pair *next;
    PortStream stream;
    uint32_t error_id, data_id; /* 0: not opened yet */
    Target *target;             /* NULL before both are, and after the end */
    ByteQueue early;            /* data that came before the target */
    bool client_ended;          /* the client's half of data is closed */
    bool data_ended;            /* ours is */
    bool is_full;               /* too much waits for the target */
    EventSource *deadline;
} Pair;

struct Ports {
    EventLoop *loop;
    const StreamPlan *plan;
    Link *link;
    WebSocket *websocket; /* of a tunnel; else NULL */
    Spdy *spdy;
    PortsControl control;
    Pair *pairs;
    size_t pairs_count;
    size_t full_count;
    bool is_over;
};

void ports_explain(const StreamPlan *plan, unsigned port, const char *reason, char *ret)
{
    (void)snprintf(ret, PORTS_ERROR_SIZE,
                   "error forwarding port %u to pod %.64s, uid %.64s: failed to connect to "
                   "localhost:%u inside the pod's network: %s",
                   port, plan->pod_name, plan->pod_uid, port, reason);
}

/* ---- podmon */

static void on_control(void *data, uint32_t events)
{
    PortsControl *control = data;
    ControlMessage message;
    int r = control_receive(control->fd, &message);

    (void)events;
    if (r == -EAGAIN)
        return;
    if (r <= 0)
        control->source = event_free(control->source);
    else if (message.kind == CONTROL_QUIT)
        control->quit(control->data);
}

int ports_watch_control(EventLoop *loop, PortsControl *control)
{
    return event_add_fd(loop, control->fd, EPOLLIN, on_control, control, &control->source);
}

/* ---- pairs */

static void set_full(Pair *pair, bool full)
{
    Ports *ports = pair->ports;

    if (pair->is_full == full)
        return;
    pair->is_full = full;
    ports->full_count += full ? 1 : (size_t)-1;
    link_pause(ports->link, ports->full_count > 0);
}

static void pair_free(Pair *pair)
{
    Ports *ports = pair->ports;
    Pair **link = &ports->pairs;

    while (*link != pair)
        link = &(*link)->next;
    *link = pair->next;
    ports->pairs_count--;
    set_full(pair, false);
    event_free(pair->deadline);
    target_free(pair->target);
    byte_queue_done(&pair->early);
    free(pair);
}

/* `error`: what the client is told, or NULL. Both streams are ended, and the pair is gone. */
static void pair_end(Pair *pair, const char *error)
{
    Spdy *spdy = pair->ports->spdy;

    if (pair->error_id != 0 && error)
        spdy_write(spdy, pair->error_id, error, strlen(error));
    if (pair->error_id != 0)
        spdy_end(spdy, pair->error_id);
    if (pair->data_id != 0 && error)
        spdy_reset(spdy, pair->data_id, SPDY_CANCEL);
    else if (pair->data_id != 0 && !pair->data_ended)
        spdy_end(spdy, pair->data_id);
    pair_free(pair);
}

static Pair *find_request(const Ports *ports, const char *request)
{
    Pair *pair = ports->pairs;

    while (pair && strcmp(pair->stream.request, request) != 0)
        pair = pair->next;
    return pair;
}

static Pair *find_data(const Ports *ports, uint32_t id)
{
    Pair *pair = ports->pairs;

    while (pair && pair->data_id != id)
        pair = pair->next;
    return id == 0 ? NULL : pair;
}

/* ---- the target */

static bool target_has_room(void *data)
{
    const Pair *pair = data;

    return link_has_room(pair->ports->link);
}

static ssize_t target_pass(void *data, int fd)
{
    const Pair *pair = data;
    const Ports *ports = pair->ports;
    uint8_t header[SPDY_FRAME_HEADER];
    const uint8_t *bytes;
    ssize_t size = link_take(ports->link, fd, !ports->websocket, &bytes);

    if (size <= 0)
        return size;
    if (bytes) {
        spdy_write(ports->spdy, pair->data_id, bytes, (size_t)size);
    } else {
        spdy_data_header(pair->data_id, (size_t)size, header);
        link_move(ports->link, header, sizeof(header));
    }
    return size;
}

static void target_ended(void *data)
{
    Pair *pair = data;

    spdy_end(pair->ports->spdy, pair->data_id);
    pair->data_ended = true;
}

static void target_drained(void *data)
{
    set_full(data, false);
}

static void target_done(void *data)
{
    pair_end(data, NULL);
}

static void target_failed(void *data, const char *reason)
{
    const Pair *pair = data;
    char text[PORTS_ERROR_SIZE];

    ports_explain(pair->ports->plan, pair->stream.port, reason, text);
    pair_end(data, text);
}

static const TargetEvents TARGET_EVENTS = {target_has_room, target_pass, target_ended,
                                           target_drained,  target_done, target_failed};

/* ---- the client's streams */

static void pair_expired(void *data, uint32_t events)
{
    (void)events;
    pair_end(data, "the other stream of the pair was not opened in time");
}

static Pair *pair_new(Ports *ports, const PortStream *stream)
{
    uint64_t deadline = clock_monotonic() + PORTS_PAIR_SECONDS * CLOCK_SECOND;
    Pair *pair;

    if (ports->pairs_count >= PORTS_PAIRS_MAX)
        return NULL;
    pair = calloc(1, sizeof(*pair));
    if (!pair)
        return NULL;
    if (event_add_timer(ports->loop, deadline, pair_expired, pair, &pair->deadline) < 0) {
        free(pair);
        return NULL;
    }
    pair->ports = ports;
    pair->stream = *stream;
    pair->next = ports->pairs;
    ports->pairs = pair;
    ports->pairs_count++;
    return pair;
}

/* The second stream for the same thing: the first stays what it is. */
static void refuse_double(const Pair *pair, uint32_t id, bool is_error)
{
    static const char *const texts[] = {
        "error processing stream for request ID: data stream already assigned",
        "error processing stream for request ID: error stream already assigned",
    };
    const char *text = texts[is_error];

    spdy_reset(pair->ports->spdy, id, SPDY_REFUSED_STREAM);
    if (pair->error_id != 0)
        spdy_write(pair->ports->spdy, pair->error_id, text, strlen(text));
}

/* Both streams are there. */
static void connect_pair(Pair *pair)
{
    pair->deadline = event_free(pair->deadline);
    if (target_new(pair->ports->loop, pair->stream.port, &TARGET_EVENTS, pair, &pair->target) < 0) {
        target_failed(pair, "out of memory");
        return;
    }
    (void)target_write(pair->target, byte_queue_data(&pair->early), byte_queue_size(&pair->early));
    byte_queue_done(&pair->early);
    if (pair->client_ended)
        target_end(pair->target);
}

static void on_open(void *data, uint32_t id, const SpdyHeaders *headers)
{
    Ports *ports = data;
    PortStream stream;
    Pair *pair;

    if (port_stream_parse(id, headers, &stream) < 0) {
        spdy_reset(ports->spdy, id, SPDY_CANCEL);
        return;
    }
    pair = find_request(ports, stream.request);
    if (pair && (stream.is_error ? pair->error_id : pair->data_id) != 0) {
        refuse_double(pair, id, stream.is_error);
        return;
    }
    if (!pair)
        pair = pair_new(ports, &stream);
    if (!pair) {
        spdy_reset(ports->spdy, id, SPDY_REFUSED_STREAM);
        return;
    }
    spdy_reply(ports->spdy, id);
    if (stream.is_error) {
        pair->error_id = id;
    } else {
        pair->data_id = id;
        pair->stream.port = stream.port;
    }
    if (pair->error_id == 0 || pair->data_id == 0)
        return;
    connect_pair(pair);
}

static void on_bytes(void *data, uint32_t id, const uint8_t *bytes, size_t size)
{
    Ports *ports = data;
    Pair *pair = find_data(ports, id);

    size_t waiting;

    if (!pair || pair->client_ended)
        return;
    if (pair->target) {
        waiting = target_write(pair->target, bytes, size);
    } else {
        if (byte_queue_add(&pair->early, bytes, size) < 0)
            pair->client_ended = true; /* Out of memory: nothing behind a gap is passed on. */
        waiting = byte_queue_size(&pair->early);
    }
    set_full(pair, waiting >= TARGET_QUEUE_MAX);
    if (pair->target && target_is_done(pair->target))
        pair_end(pair, NULL);
}

static void on_end(void *data, uint32_t id)
{
    Ports *ports = data;
    Pair *pair = find_data(ports, id);

    if (!pair)
        return; /* Also of an error stream: its client's half is closed from the beginning. */
    pair->client_ended = true;
    if (pair->target)
        target_end(pair->target);
    if (pair->target && target_is_done(pair->target))
        pair_end(pair, NULL);
}

/* A client resets data when it has had enough, which is no failure of anybody's. */
static void on_reset(void *data, uint32_t id)
{
    Ports *ports = data;
    Pair *pair = find_data(ports, id);

    if (!pair)
        return;
    pair->data_ended = true;
    pair_end(pair, NULL);
}

static void send_bytes(void *data, const struct iovec *parts, int count)
{
    const Ports *ports = data;

    link_write(ports->link, parts, count);
}

/* SPDY's bytes as messages of the tunnel; where one begins means nothing. */
static void send_tunnelled(void *data, const struct iovec *parts, int count)
{
    const Ports *ports = data;

    for (int i = 0; i < count; i++)
        websocket_send(ports->websocket, false, &parts[i], 1);
}

/* ---- the connection */

static void end_session(Ports *ports, bool broken)
{
    if (ports->is_over)
        return;
    ports->is_over = true;
    ports->control.source = event_free(ports->control.source);
    fd_close(&ports->control.fd);
    while (ports->pairs)
        pair_end(ports->pairs, NULL);
    spdy_goaway(ports->spdy, broken ? SPDY_GOAWAY_PROTOCOL_ERROR : SPDY_GOAWAY_OK);
    if (ports->websocket)
        websocket_close(ports->websocket);
    link_finish(ports->link);
}

static void on_message(void *data, bool is_text, const uint8_t *bytes, size_t size)
{
    Ports *ports = data;
    int r = is_text ? -EBADMSG : spdy_feed(ports->spdy, bytes, size);

    if (r < 0)
        end_session(ports, r == -EBADMSG);
}

static void on_input(void *data, const uint8_t *bytes, size_t size)
{
    Ports *ports = data;
    int r = ports->websocket ? websocket_feed(ports->websocket, bytes, size)
                             : spdy_feed(ports->spdy, bytes, size);

    if (r < 0)
        end_session(ports, r == -EBADMSG);
}

/* The payload of data frames goes from socket to socket. */
static ssize_t take_input(void *data, int fd, size_t *ret_size)
{
    Ports *ports = data;
    uint32_t id;
    size_t left = spdy_expects(ports->spdy, &id);
    Pair *pair = find_data(ports, id);
    bool is_open = pair && pair->target && !pair->client_ended;
    ssize_t size = is_open ? target_take(pair->target, fd, left) : -EINVAL;

    *ret_size = left;
    if (size < 0)
        return size;
    set_full(pair, target_waiting(pair->target) >= TARGET_QUEUE_MAX);
    (void)spdy_skip(ports->spdy, (size_t)size); /* Data are never wrong. */
    return size;
}

static void on_room(void *data)
{
    const Ports *ports = data;

    for (Pair *pair = ports->pairs; pair; pair = pair->next)
        if (pair->target)
            target_resume(pair->target);
}

static void on_quit(void *data)
{
    end_session(data, false);
}

static void on_closed(void *data)
{
    const Ports *ports = data;

    event_loop_exit(ports->loop, 0);
}

static int open_protocol(Ports *ports, bool is_tunnel)
{
    static const SpdyEvents bare = {on_open, on_bytes, on_end, on_reset, send_bytes};
    static const SpdyEvents tunnelled = {on_open, on_bytes, on_end, on_reset, send_tunnelled};
    static const WebSocketEvents websocket = {on_message, send_bytes};
    int r = spdy_new(is_tunnel ? &tunnelled : &bare, ports, &ports->spdy);

    if (r >= 0 && is_tunnel)
        r = websocket_new(&websocket, ports, &ports->websocket);
    return r < 0 ? r : ports_watch_control(ports->loop, &ports->control);
}

int ports_serve_pairs(EventLoop *loop, const StreamPlan *plan, const Handshake *handshake,
                      const void *rest, size_t size)
{
    static const LinkEvents bare = {on_input, on_room, on_quit, on_closed, take_input};
    static const LinkEvents tunnelled = {on_input, on_room, on_quit, on_closed, NULL};
    bool is_tunnel = handshake->protocol->is_tunnel;
    struct iovec answer = {(void *)(uintptr_t)handshake->answer, handshake->size};
    Ports ports = {.loop = loop, .plan = plan};
    int r;

    ports.control = (PortsControl){plan->control_fd, NULL, on_quit, &ports};
    r = link_new(loop, plan->client_fd, is_tunnel ? &tunnelled : &bare, &ports, &ports.link);
    if (r >= 0)
        r = open_protocol(&ports, is_tunnel);
    if (r >= 0) {
        link_write(ports.link, &answer, 1);
        if (size > 0)
            on_input(&ports, rest, size);
        r = event_loop_run(loop);
    }
    spdy_free(ports.spdy);
    websocket_free(ports.websocket);
    link_free(ports.link);
    return r;
}
