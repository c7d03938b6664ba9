/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/stream/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dispatcher/config.h"
#include "dispatcher/pods/client.h"
#include "dispatcher/pods/index.h"
#include "dispatcher/stream/listener.h"
#include "dispatcher/stream/route.h"
#include "dispatcher/stream/tls.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/log.h"

enum {
    FIRST_SIZE = 4096,
    LINGER_SECONDS = 2, /* for a client to read the refusal, and close */
    HAND_SECONDS = 10,  /* for a podmon to take a connection */
    RESUME_MS = 100,    /* without descriptors or memory */
    PROTOCOL_VERSION = 1,
};

/* A client until its connection is a podmon's, or refused. */
typedef struct Guest {
    StreamEndpoint *endpoint;
    struct Guest *next, **link;
    int fd;
    EventSource *source;
    EventSource *timer;
    PodCall *call; /* while a podmon is asked to take it */
    bool refused;
    char *data; /* what it has said so far */
    size_t size, capacity;
} Guest;

struct StreamEndpoint {
    Node *node;
    int fd;
    EventSource *source;
    EventSource *resume;
    Guest *guests;
    size_t count;
    TlsServer *tls; /* NULL: none */
    char url[ENDPOINT_URL_MAX];
};

static void guest_free(Guest *guest)
{
    StreamEndpoint *endpoint = guest->endpoint;

    *guest->link = guest->next;
    if (guest->next)
        guest->next->link = guest->link;
    if (guest->call)
        pod_call_cancel(guest->call);
    event_free(guest->source);
    event_free(guest->timer);
    fd_close(&guest->fd);
    free(guest->data);
    free(guest);
    if (endpoint->count-- == ENDPOINT_CONNECTIONS_MAX)
        (void)event_set_fd(endpoint->source, EPOLLIN); /* Fails only for a bad descriptor. */
}

static void on_time(void *data, uint32_t events)
{
    (void)events;
    guest_free(data);
}

static const char *status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {400, "400 Bad Request"},         {404, "404 Not Found"},
        {405, "405 Method Not Allowed"},  {431, "431 Request Header Fields Too Large"},
        {503, "503 Service Unavailable"},
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "500 Internal Server Error";
}

/* The answer fits into the empty buffer of a new socket. A client that is still sending gets time
 * to read it: closing at once could take it back. */
static void refuse(Guest *guest, int status, const char *body)
{
    uint64_t deadline = clock_monotonic() + LINGER_SECONDS * CLOCK_SECOND;
    char answer[1024];
    int length =
        snprintf(answer, sizeof(answer),
                 "HTTP/1.1 %s\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
                 "%sContent-Length: %zu\r\n\r\n%.512s\n",
                 status_text(status), status == 405 ? "Allow: GET, POST\r\n" : "",
                 strnlen(body, 512) + 1, body);

    guest->refused = true;
    (void)send(guest->fd, answer, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)shutdown(guest->fd, SHUT_WR);
    (void)event_set_fd(guest->source, EPOLLIN);
    (void)event_set_timer(guest->timer, deadline);
}

/* podmon has a copy of the connection, or has said why not. */
static void on_answer(void *data, const Podmon__Reply *reply, const Failure *why)
{
    Guest *guest = data;

    (void)reply;
    guest->call = NULL;
    if (!why) {
        guest_free(guest);
    } else if (why->code == FAILURE_NOT_FOUND || why->code == FAILURE_FAILED_PRECONDITION) {
        refuse(guest, 404, "404 page not found");
    } else {
        log_warning("a stream could not begin: %s", why->text);
        refuse(guest, why->code == FAILURE_RESOURCE_EXHAUSTED ? 503 : 500, why->text);
    }
}

static void hand_over(Guest *guest, const StreamRoute *route)
{
    Node *node = guest->endpoint->node;
    uint64_t deadline = clock_monotonic() + HAND_SECONDS * CLOCK_SECOND;
    Podmon__HandStream stream = PODMON__HAND_STREAM__INIT;
    Podmon__Request request = PODMON__REQUEST__INIT;
    const Pod *pod = NULL;

    pod_index_sync(node->pods);
    if (pod_index_find(node->pods, route->pod, &pod) < 0 || pod->stale) {
        refuse(guest, 404, "404 page not found");
        return;
    }
    stream.operation = route->operation;
    stream.token = (char *)(uintptr_t)route->token; /* Packing only reads it. */
    stream.data.data = (uint8_t *)guest->data;
    stream.data.len = guest->size;
    request.version = PROTOCOL_VERSION;
    request.call_case = PODMON__REQUEST__CALL_HAND_STREAM;
    request.hand_stream = &stream;
    (void)event_set_fd(guest->source, 0);
    (void)event_set_timer(guest->timer, UINT64_MAX);
    pod_call_with(node->client, pod->record->spec->id, &request, guest->fd, deadline, on_answer,
                  guest, &guest->call);
}

/* Parses a copy: the podmon's process wants to see the head as it came. */
static int parse(const Guest *guest, StreamRoute *ret)
{
    HttpHead head;
    char *copy = malloc(guest->size);
    int r;

    if (!copy)
        return -ENOMEM;
    memcpy(copy, guest->data, guest->size);
    r = http_head_parse(copy, guest->size, &head);
    if (r > 0)
        r = stream_route_parse(&head, ret);
    else if (r == 0)
        r = -EAGAIN;
    free(copy);
    return r;
}

static bool make_room(Guest *guest)
{
    size_t capacity = guest->capacity > 0 ? guest->capacity * 2 : FIRST_SIZE;
    char *grown;

    if (guest->size < guest->capacity)
        return true;
    grown = realloc(guest->data, capacity);
    if (!grown)
        return false;
    guest->data = grown;
    guest->capacity = capacity;
    return true;
}

static void take_bytes(Guest *guest)
{
    StreamRoute route;
    int r = parse(guest, &route);

    if (r == -EAGAIN)
        return;
    if (r == 0)
        hand_over(guest, &route);
    else if (r == -E2BIG)
        refuse(guest, 431, "the request's head is too large");
    else if (r == -EBADMSG)
        refuse(guest, 400, "this is no HTTP/1.1 request");
    else if (r < 0)
        guest_free(guest);
    else
        refuse(guest, r,
               r == 404   ? "404 page not found"
               : r == 405 ? "only GET and POST are served here"
                          : "a request for a stream has no body");
}

static void on_ready(void *data, uint32_t events)
{
    Guest *guest = data;
    char rest[FIRST_SIZE];
    ssize_t size;

    (void)events;
    if (guest->call) {
        guest->source = event_free(guest->source); /* Hung up; whoever gets it will notice. */
        return;
    }
    if (!guest->refused && !make_room(guest)) {
        guest_free(guest);
        return;
    }
    size = guest->refused ? recv(guest->fd, rest, sizeof(rest), MSG_DONTWAIT)
                          : recv(guest->fd, guest->data + guest->size,
                                 guest->capacity - guest->size, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0) {
        guest_free(guest);
    } else if (!guest->refused) {
        guest->size += (size_t)size;
        take_bytes(guest);
    }
}

static int guest_new(StreamEndpoint *endpoint, int fd)
{
    EventLoop *loop = endpoint->node->loop;
    uint64_t deadline = clock_monotonic() + ENDPOINT_HEAD_SECONDS * CLOCK_SECOND;
    Guest *guest = calloc(1, sizeof(*guest));
    int r;

    if (!guest) {
        fd_close(&fd);
        return -ENOMEM;
    }
    *guest = (Guest){
        .endpoint = endpoint, .next = endpoint->guests, .link = &endpoint->guests, .fd = fd};
    if (guest->next)
        guest->next->link = &guest->next;
    endpoint->guests = guest;
    if (++endpoint->count == ENDPOINT_CONNECTIONS_MAX)
        (void)event_set_fd(endpoint->source, 0);
    r = event_add_fd(loop, fd, EPOLLIN, on_ready, guest, &guest->source);
    if (r >= 0)
        r = event_add_timer(loop, deadline, on_time, guest, &guest->timer);
    if (r < 0)
        guest_free(guest);
    return r;
}

static void on_connection(void *data, uint32_t events)
{
    StreamEndpoint *endpoint = data;
    int fd = accept4(endpoint->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int r = fd < 0 ? -errno : 0;

    (void)events;
    if (r >= 0 && endpoint->tls)
        r = fd = tls_server_accept(endpoint->tls, fd);
    if (r >= 0)
        r = guest_new(endpoint, fd);
    if (r >= 0 || r == -EAGAIN || r == -EINTR || r == -ECONNABORTED)
        return;
    log_warning("a connection for a stream could not be accepted: error %d", -r);
    (void)event_set_fd(endpoint->source, 0);
    (void)event_set_timer(endpoint->resume, clock_monotonic() + RESUME_MS * CLOCK_MILLISECOND);
}

static void on_resume(void *data, uint32_t events)
{
    const StreamEndpoint *endpoint = data;

    (void)events;
    (void)event_set_fd(endpoint->source, EPOLLIN);
}

int stream_endpoint_new(Node *node, StreamEndpoint **ret, Failure *why)
{
    const Config *config = node->config;
    StreamEndpoint *endpoint = calloc(1, sizeof(*endpoint));
    int r;

    if (!endpoint)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "no memory for an endpoint");
    endpoint->node = node;
    endpoint->fd = -1;
    r = config->stream_tls_cert ? tls_server_new(node->loop, config->stream_tls_cert,
                                                 config->stream_tls_key, &endpoint->tls, why)
                                : 0;
    if (r >= 0)
        r = endpoint->fd =
            listener_open(config->stream_address, (uint16_t)config->stream_port,
                          endpoint->tls ? "https" : "http", config->run_dir, endpoint->url, why);
    if (r >= 0) {
        r = event_add_fd(node->loop, endpoint->fd, EPOLLIN, on_connection, endpoint,
                         &endpoint->source);
        if (r >= 0)
            r = event_add_timer(node->loop, UINT64_MAX, on_resume, endpoint, &endpoint->resume);
        if (r < 0)
            (void)failure_set(why, FAILURE_INTERNAL, -r, "cannot watch the endpoint of streams");
    }
    if (r < 0) {
        stream_endpoint_free(endpoint);
        return r;
    }
    *ret = endpoint;
    return 0;
}

StreamEndpoint *stream_endpoint_free(StreamEndpoint *endpoint)
{
    if (!endpoint)
        return NULL;
    while (endpoint->guests)
        guest_free(endpoint->guests);
    event_free(endpoint->source);
    event_free(endpoint->resume);
    fd_close(&endpoint->fd);
    tls_server_free(endpoint->tls);
    free(endpoint);
    return NULL;
}

const char *stream_endpoint_url(const StreamEndpoint *endpoint)
{
    return endpoint->url;
}
