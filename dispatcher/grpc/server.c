/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/grpc/server.h"

#include <errno.h>
#include <h2o.h>
#include <h2o/http2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "dispatcher/grpc/call.h"
#include "dispatcher/grpc/frame.h"
#include "dispatcher/grpc/trailers.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/log.h"

enum {
    /* h2o resets a stream whose request grows beyond this; up to it we answer ourselves. */
    REQUEST_SIZE_MAX = GRPC_MESSAGE_MAX + 4 * 1024 * 1024,
    IDLE_TIMEOUT_MS = 10 * 60 * 1000, /* a connection without a call; clients come back */
    /* A client that cancels call after call (CVE-2023-44487): how many at once, and how many a
     * second from then on. */
    CANCEL_BURST = 4 * GRPC_STREAMS_MAX,
    CANCEL_RATE = 500,
};

#define RETRY_ACCEPT (100 * CLOCK_MILLISECOND)
#define SWEEP_INTERVAL (30 * CLOCK_SECOND)
#define STOP_LINGER (50 * CLOCK_MILLISECOND)
#define GREETING_INTERVAL (10 * CLOCK_MILLISECOND)
#define GREETING_TIMEOUT CLOCK_SECOND

typedef struct GrpcConnection {
    h2o_linklist_t link; /* server->connections */
    GrpcServer *server;
    h2o_socket_t *socket;
    bool limit_announced;
    bool cut;
    uint32_t cancels; /* what is left of the burst */
    uint64_t cancels_counted;
    size_t swept_bytes; /* bytes_written at the last sweep, if a write was pending then */
    bool swept_writing;
} GrpcConnection;

typedef struct GrpcListener {
    int fd;
    EventSource *source;
} GrpcListener;

struct GrpcServer {
    Loop *loop;
    EventLoop *events;
    GrpcServe serve;
    void *data;

    h2o_globalconf_t config;
    h2o_context_t context;
    h2o_accept_ctx_t accept;

    GrpcListener listeners[GRPC_LISTENERS_MAX];
    size_t listeners_count;
    bool short_of_means; /* descriptors or memory; said once */
    EventSource *retry;  /* accepting again after a shortage */
    EventSource *sweep;
    h2o_linklist_t connections;
    size_t connections_count;
    CallList calls;
    size_t live;

    bool stopping;
    uint64_t stop_begun;
    EventSource *linger; /* until the end of the greetings, then of the calls */
    EventSource *quiet_notice;
    void (*quiet)(void *data);
    void *quiet_data;
};

typedef struct ServerHandler {
    h2o_handler_t super;
    GrpcServer *server;
} ServerHandler;

/* Refuses further words from this client; h2o finds the connection at its end and closes it. */
static void connection_cut(GrpcConnection *connection)
{
    connection->cut = true;
    (void)shutdown(h2o_socket_get_fd(connection->socket), SHUT_RDWR);
}

static void connection_count_cancel(GrpcConnection *connection)
{
    uint64_t now = clock_monotonic();
    uint64_t earned = (now - connection->cancels_counted) / (CLOCK_SECOND / CANCEL_RATE);

    if (earned > 0) {
        connection->cancels_counted = now;
        if (earned > CANCEL_BURST - connection->cancels)
            connection->cancels = CANCEL_BURST;
        else
            connection->cancels += (uint32_t)earned;
    }
    if (connection->cancels > 0) {
        connection->cancels--;
        return;
    }
    if (connection->cut)
        return;
    log_warning("a gRPC client cancels more than %d calls a second; its connection is closed",
                CANCEL_RATE);
    connection_cut(connection);
}

static void listeners_watch(GrpcServer *server, bool on)
{
    for (size_t i = 0; i < server->listeners_count; i++)
        (void)event_set_fd(server->listeners[i].source, on ? EPOLLIN : 0);
}

static void on_socket_close(void *data)
{
    GrpcConnection *connection = data;
    GrpcServer *server = connection->server;

    h2o_linklist_unlink(&connection->link);
    free(connection);
    server->connections_count--;
    if (!server->stopping)
        listeners_watch(server, true);
}

static void on_retry(void *data, uint32_t events)
{
    GrpcServer *server = data;

    (void)events;
    if (!server->stopping)
        listeners_watch(server, true);
}

/* A client that does not read what it has asked for would keep its memory for ever. A write that
 * was pending at the last sweep and still is has had half a minute. */
static void on_sweep(void *data, uint32_t events)
{
    GrpcServer *server = data;
    h2o_linklist_t *next;

    (void)events;
    for (h2o_linklist_t *link = server->connections.next; link != &server->connections;
         link = next) {
        GrpcConnection *connection = H2O_STRUCT_FROM_MEMBER(GrpcConnection, link, link);
        bool writing = h2o_socket_is_writing(connection->socket);

        next = link->next;
        if (writing && connection->swept_writing &&
            connection->socket->bytes_written == connection->swept_bytes)
            connection_cut(connection);
        connection->swept_writing = writing;
        connection->swept_bytes = connection->socket->bytes_written;
    }
    (void)event_set_timer(server->sweep, server->connections_count > 0
                                             ? clock_monotonic() + SWEEP_INTERVAL
                                             : UINT64_MAX);
}

static void connection_begin(GrpcServer *server, int fd)
{
    h2o_socket_t *socket = h2o_evloop_socket_create(loop_h2o(server->loop), fd,
                                                    H2O_SOCKET_FLAG_IS_ACCEPTED_CONNECTION);
    GrpcConnection *connection = h2o_mem_alloc(sizeof(*connection));

    *connection = (GrpcConnection){
        .server = server,
        .socket = socket,
        .cancels = CANCEL_BURST,
        .cancels_counted = clock_monotonic(),
    };
    h2o_linklist_insert(&server->connections, &connection->link);
    if (server->connections_count++ == 0)
        (void)event_set_timer(server->sweep, clock_monotonic() + SWEEP_INTERVAL);
    socket->on_close.cb = on_socket_close;
    socket->on_close.data = connection;
    h2o_http2_accept(&server->accept, socket, *h2o_get_timestamp(&server->context, NULL, NULL));
}

/* Out of descriptors or memory, the connection stays in the listening socket, which would wake the
 * loop again at once; so accepting rests until a connection has closed or a moment has passed. */
static void server_rest(GrpcServer *server, int error)
{
    if (!server->short_of_means)
        log_warning("cannot accept a gRPC connection: %s; clients wait", strerror(error));
    server->short_of_means = true;
    listeners_watch(server, false);
    (void)event_set_timer(server->retry, clock_monotonic() + RETRY_ACCEPT);
}

static void on_accept(void *data, uint32_t events)
{
    GrpcServer *server = data;

    (void)events;
    for (size_t i = 0; i < server->listeners_count; i++) {
        while (server->connections_count < GRPC_CONNECTIONS_MAX) {
            int fd = accept4(server->listeners[i].fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

            if (fd >= 0) {
                server->short_of_means = false;
                connection_begin(server, fd);
                continue;
            }
            if (errno == EINTR || errno == ECONNABORTED)
                continue;
            if (errno != EAGAIN) {
                server_rest(server, errno);
                return;
            }
            break;
        }
    }
    if (server->connections_count >= GRPC_CONNECTIONS_MAX)
        listeners_watch(server, false);
}

static void on_quiet(void *data, uint32_t events)
{
    GrpcServer *server = data;

    (void)events;
    server->quiet_notice = NULL;
    server->quiet(server->quiet_data);
}

static void server_check_quiet(GrpcServer *server)
{
    if (!server->stopping || server->linger || server->live > 0 || !server->quiet)
        return;
    if (!server->quiet_notice &&
        event_defer(server->events, on_quiet, server, &server->quiet_notice) < 0)
        h2o_fatal("no memory");
}

static void on_call_closed(void *data, bool early)
{
    GrpcConnection *connection = data;
    GrpcServer *server = connection->server;

    server->live--;
    if (early)
        connection_count_cancel(connection);
    server_check_quiet(server);
}

static h2o_iovec_t find_header(const h2o_req_t *request, const char *name, size_t size)
{
    ssize_t at = h2o_find_header_by_str(&request->headers, name, size, -1);

    return at < 0 ? h2o_iovec_init(NULL, 0) : request->headers.entries[at].value;
}

/* What is not gRPC gets an HTTP status and no body. */
static bool refuse_foreign(h2o_req_t *request)
{
    static const char media_type[] = "application/grpc";
    static h2o_generator_t nothing;
    size_t size = sizeof(media_type) - 1;
    h2o_iovec_t type = find_header(request, H2O_STRLIT("content-type"));

    if (!h2o_memis(request->method.base, request->method.len, H2O_STRLIT("POST"))) {
        request->res.status = 405;
        h2o_add_header_by_str(&request->pool, &request->res.headers, H2O_STRLIT("allow"), 0, NULL,
                              H2O_STRLIT("POST"));
    } else if (type.len < size || memcmp(type.base, media_type, size) != 0 ||
               (type.len > size && type.base[size] != '+' && type.base[size] != ';')) {
        request->res.status = 415;
    } else {
        return false;
    }
    request->res.content_length = SIZE_MAX;
    h2o_start_response(request, &nothing);
    trailers_write_only(request);
    return true;
}

/* Absolute time until which the client waits. */
static int find_deadline(const h2o_req_t *request, uint64_t *ret, Failure *why)
{
    h2o_iovec_t text = find_header(request, H2O_STRLIT("grpc-timeout"));
    uint64_t timeout;

    *ret = UINT64_MAX;
    if (!text.base)
        return 0;
    if (frame_parse_timeout(text.base, text.len, &timeout) < 0)
        return failure_say(why, FAILURE_INTERNAL, "grpc-timeout is \"%.*s\", which is no timeout",
                           (int)(text.len < 32 ? text.len : 32), text.base);
    if (__builtin_add_overflow(clock_monotonic(), timeout, ret))
        *ret = UINT64_MAX;
    return 0;
}

static int examine(const h2o_req_t *request, uint64_t *ret_deadline, const uint8_t **ret_message,
                   size_t *ret_size, Failure *why)
{
    int r;

    r = find_deadline(request, ret_deadline, why);
    if (r < 0)
        return r;
    if (trailers_admitted(request) > GRPC_STREAMS_MAX)
        return failure_say(why, FAILURE_RESOURCE_EXHAUSTED,
                           "more than %d calls are open on this connection", GRPC_STREAMS_MAX);
    return frame_unwrap((const uint8_t *)request->entity.base, request->entity.len,
                        GRPC_MESSAGE_MAX, ret_message, ret_size, why);
}

static int on_request(h2o_handler_t *handler, h2o_req_t *request)
{
    GrpcServer *server = ((ServerHandler *)handler)->server;
    GrpcConnection *connection = request->conn->callbacks->get_socket(request->conn)->on_close.data;
    uint64_t deadline;
    const uint8_t *message;
    size_t size;
    GrpcCall *call;
    Failure why;
    int r;

    trailers_admit(request);
    if (!connection->limit_announced) {
        connection->limit_announced = true;
        trailers_announce_limit(request, GRPC_STREAMS_MAX);
    }
    if (refuse_foreign(request))
        return 0;

    r = examine(request, &deadline, &message, &size, &why);
    call = call_begin(request, server->events, &server->calls, r < 0 ? UINT64_MAX : deadline,
                      on_call_closed, connection);
    server->live++;
    if (r < 0)
        grpc_call_finish(call, why.code, why.text);
    else
        server->serve(server->data, call,
                      h2o_strdup(&request->pool, request->path.base, request->path.len).base,
                      message, size);
    return 0;
}

static void configure(GrpcServer *server)
{
    h2o_globalconf_t *config = &server->config;
    h2o_hostconf_t *host;
    ServerHandler *handler;

    h2o_config_init(config);
    config->server_name = h2o_iovec_init("", 0);
    config->max_request_entity_size = REQUEST_SIZE_MAX;
    config->http2.idle_timeout = IDLE_TIMEOUT_MS;
    /* h2o would let further requests wait behind event streams; we count ourselves. */
    config->http2.max_concurrent_requests_per_connection = SIZE_MAX;
    config->http2.graceful_shutdown_timeout = 0;
    /* The largest request stays in memory rather than in a file below /tmp. */
    h2o_socket_buffer_mmap_settings.threshold = 4 * (size_t)REQUEST_SIZE_MAX;

    host = h2o_config_register_host(config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    host->http2.reprioritize_blocking_assets = 0;
    handler = (ServerHandler *)h2o_create_handler(h2o_config_register_path(host, "/", 0),
                                                  sizeof(*handler));
    handler->super.on_req = on_request;
    handler->server = server;
    h2o_context_init(&server->context, loop_h2o(server->loop), config);
    server->accept = (h2o_accept_ctx_t){.ctx = &server->context, .hosts = config->hosts};
}

int grpc_server_new(Loop *loop, GrpcServe serve, void *data, GrpcServer **ret)
{
    GrpcServer *server = calloc(1, sizeof(*server));
    EventLoop *events = loop_events(loop);
    int r;

    if (!server)
        return -ENOMEM;
    server->loop = loop;
    server->events = events;
    server->serve = serve;
    server->data = data;
    h2o_linklist_init_anchor(&server->connections);
    r = event_add_timer(events, UINT64_MAX, on_retry, server, &server->retry);
    if (r >= 0)
        r = event_add_timer(events, UINT64_MAX, on_sweep, server, &server->sweep);
    if (r < 0) {
        (void)event_free(server->retry);
        free(server);
        return r;
    }
    configure(server);
    *ret = server;
    return 0;
}

int grpc_server_listen(GrpcServer *server, int listen_fd)
{
    GrpcListener *listener = &server->listeners[server->listeners_count];
    int r = -ENOBUFS;

    if (server->listeners_count < GRPC_LISTENERS_MAX)
        r = event_add_fd(server->events, listen_fd, EPOLLIN, on_accept, server, &listener->source);
    if (r < 0) {
        fd_close(&listen_fd);
        return r;
    }
    listener->fd = listen_fd;
    server->listeners_count++;
    return 0;
}

static void listeners_close(GrpcServer *server)
{
    for (size_t i = 0; i < server->listeners_count; i++) {
        server->listeners[i].source = event_free(server->listeners[i].source);
        fd_close(&server->listeners[i].fd);
    }
    server->listeners_count = 0;
}

/* Requests that were on their way when the client was told have arrived by now. */
static void on_linger(void *data, uint32_t events)
{
    GrpcServer *server = data;

    (void)events;
    server->linger = event_free(server->linger);
    call_end_open(&server->calls);
    server_check_quiet(server);
}

/* Accepted, and has not said anything yet. h2o would tell it to go away before it has greeted it,
 * which no client understands. */
static bool server_has_newcomers(const GrpcServer *server)
{
    for (const h2o_linklist_t *link = server->connections.next; link != &server->connections;
         link = link->next)
        if (H2O_STRUCT_FROM_MEMBER(GrpcConnection, link, link)->socket->bytes_read == 0)
            return true;
    return false;
}

static void on_greeted(void *data, uint32_t events)
{
    GrpcServer *server = data;
    uint64_t now = clock_monotonic();

    (void)events;
    server->linger = event_free(server->linger);
    if (server_has_newcomers(server) && now < server->stop_begun + GREETING_TIMEOUT &&
        event_add_timer(server->events, now + GREETING_INTERVAL, on_greeted, server,
                        &server->linger) >= 0)
        return;
    h2o_context_request_shutdown(&server->context);
    call_end_open(&server->calls);
    if (event_add_timer(server->events, now + STOP_LINGER, on_linger, server, &server->linger) < 0)
        server_check_quiet(server);
}

void grpc_server_stop(GrpcServer *server, void (*quiet)(void *data), void *data)
{
    server->stopping = true;
    server->stop_begun = clock_monotonic();
    server->quiet = quiet;
    server->quiet_data = data;
    listeners_close(server);
    on_greeted(server, 0);
}

size_t grpc_server_live_calls(const GrpcServer *server)
{
    return server->live;
}

/* h2o closes a connection by itself when it finds it at its end, which takes a round of the loop
 * or two. */
static void connections_close(GrpcServer *server)
{
    enum { ROUNDS_MAX = 100 };

    for (int round = 0; round < ROUNDS_MAX && server->connections_count > 0; round++) {
        for (h2o_linklist_t *link = server->connections.next; link != &server->connections;
             link = link->next)
            connection_cut(H2O_STRUCT_FROM_MEMBER(GrpcConnection, link, link));
        (void)h2o_evloop_run(loop_h2o(server->loop), 0);
        (void)event_loop_step(server->events, 0);
    }
}

GrpcServer *grpc_server_free(GrpcServer *server)
{
    h2o_multithread_queue_t *queue;

    if (!server)
        return NULL;
    server->stopping = true;
    server->quiet = NULL;
    listeners_close(server);
    connections_close(server);
    (void)event_free(server->retry);
    (void)event_free(server->sweep);
    (void)event_free(server->linger);
    (void)event_free(server->quiet_notice);
    /* h2o leaves this one linked after a shutdown and then asserts that none is. */
    if (h2o_timeout_is_linked(&server->context.http2._graceful_shutdown_timeout))
        h2o_timeout_unlink(&server->context.http2._graceful_shutdown_timeout);
    /* h2o_context_dispose empties this queue and forgets it. */
    queue = server->context.queue;
    h2o_context_dispose(&server->context);
    free(queue);
    h2o_config_dispose(&server->config);
    free(server);
    return NULL;
}
