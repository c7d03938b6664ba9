/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/server.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "shared/channel.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/log.h"
#include "shared/message.h"

/* A connection and its one request. `request` is NULL while it is awaited; from then on the call
 * lives until it is answered, and `fd` becomes −1 if the client goes away before. */
struct Call {
    Server *server;
    int fd;
    EventSource *source;
    EventSource *timer;
    Podmon__Request *request;
    int passed_fd; /* came with it; −1 */
    ServerFunction gone;
    void *gone_data;
    Call *next; /* in the server's list */
    Call *next_waiting;
};

struct Server {
    EventLoop *loop;
    int listen_fd;
    EventSource *source;
    EventSource *resume;
    ServerHandler handler;
    ServerFunction idle;
    void *data;
    Call *calls;
    size_t count;
};

static void accept_pause(Server *server, bool pause)
{
    (void)event_set_fd(server->source, pause ? 0 : EPOLLIN); /* Fails only for a bad descriptor. */
}

static void accept_resume(void *data, uint32_t events)
{
    (void)events;
    accept_pause(data, false);
}

static Call *call_free(Call *call)
{
    event_free(call->source);
    event_free(call->timer);
    fd_close(&call->fd);
    fd_close(&call->passed_fd);
    if (call->request)
        podmon__request__free_unpacked(call->request, NULL);
    free(call);
    return NULL;
}

static void call_end(Call *call)
{
    Server *server = call->server;
    Call **link = &server->calls;

    while (*link != call)
        link = &(*link)->next;
    *link = call->next;
    call_free(call);
    if (server->count-- == SERVER_CONNECTIONS_MAX)
        accept_pause(server, false);
    if (server->count == 0 && server->idle)
        server->idle(server->data);
}

void call_answer(Call *call, const Podmon__Reply *reply)
{
    if (call->fd >= 0) {
        int r = message_send(call->fd, &reply->base, NULL, 0);
        if (r < 0 && r != -EPIPE)
            log_warning("a reply could not be sent: error %d", -r);
    }
    call_end(call);
}

void call_answer_done(Call *call)
{
    Podmon__Reply reply = PODMON__REPLY__INIT;

    call_answer(call, &reply);
}

void call_answer_failure(Call *call, const Failure *why)
{
    Podmon__Reply reply = PODMON__REPLY__INIT;

    reply.code = why->code == FAILURE_NONE ? FAILURE_INTERNAL : why->code;
    reply.message = (char *)(uintptr_t)why->text; /* Packing only reads it. */
    call_answer(call, &reply);
}

int call_take_fd(Call *call)
{
    return take_fd(&call->passed_fd);
}

void call_on_gone(Call *call, ServerFunction gone, void *data)
{
    call->gone = gone;
    call->gone_data = data;
}

void call_list_add(Call **list, Call *call)
{
    call->next_waiting = *list;
    *list = call;
}

void call_list_answer(Call **list, const Failure *why)
{
    while (*list) {
        Call *call = *list;
        *list = call->next_waiting;
        if (why)
            call_answer_failure(call, why);
        else
            call_answer_done(call);
    }
}

/* The client of a request that is being worked on says more, which it must not, or is gone. */
static void call_hung_up(Call *call)
{
    call->source = event_free(call->source);
    fd_close(&call->fd);
    if (call->gone)
        call->gone(call->gone_data);
}

static void call_ready(void *data, uint32_t events)
{
    Call *call = data;
    ProtobufCMessage *message = NULL;
    ChannelMessage envelope = {0};
    int r;

    (void)events;
    if (call->request) {
        call_hung_up(call);
        return;
    }
    r = message_receive(call->fd, &podmon__request__descriptor, &envelope, &message);
    if (r == -EAGAIN)
        return;
    if (r <= 0) {
        if (r < 0)
            log_warning("a request could not be received: error %d", -r);
        call_end(call);
        return;
    }
    call->request = (Podmon__Request *)message;
    if (envelope.fds_count > 0)
        call->passed_fd = take_fd(&envelope.fds[0]);
    channel_message_done(&envelope);
    call->timer = event_free(call->timer);
    call->server->handler(call->server->data, call, call->request);
}

static void call_expired(void *data, uint32_t events)
{
    (void)events;
    call_end(data);
}

static int call_new(Server *server, int fd)
{
    Call *call = calloc(1, sizeof(*call));
    uint64_t deadline = clock_monotonic() + SERVER_IDLE_SECONDS * CLOCK_SECOND;
    int r;

    if (!call) {
        fd_close(&fd);
        return -ENOMEM;
    }
    call->server = server;
    call->fd = fd;
    call->passed_fd = -1;
    r = event_add_fd(server->loop, fd, EPOLLIN | EPOLLRDHUP, call_ready, call, &call->source);
    if (r >= 0)
        r = event_add_timer(server->loop, deadline, call_expired, call, &call->timer);
    if (r < 0) {
        call_free(call);
        return r;
    }
    call->next = server->calls;
    server->calls = call;
    if (++server->count == SERVER_CONNECTIONS_MAX)
        accept_pause(server, true);
    return 0;
}

static void server_ready(void *data, uint32_t events)
{
    Server *server = data;
    int fd = channel_accept(server->listen_fd);
    int r = fd < 0 ? fd : call_new(server, fd);

    (void)events;
    if (r >= 0 || r == -EAGAIN)
        return;
    log_warning("a connection could not be accepted: error %d", -r);
    if (r == -EPERM)
        return;
    /* Out of descriptors or memory: the connection waits, and so do we, instead of spinning. */
    accept_pause(server, true);
    (void)event_set_timer(server->resume, clock_monotonic() + CLOCK_SECOND / 10);
}

int server_new(EventLoop *loop, int listen_fd, ServerHandler handler, ServerFunction idle,
               void *data, Server **ret)
{
    Server *server = calloc(1, sizeof(*server));
    int r;

    if (!server)
        return -ENOMEM;
    *server = (Server){
        .loop = loop, .listen_fd = listen_fd, .handler = handler, .idle = idle, .data = data};
    r = event_add_fd(loop, listen_fd, EPOLLIN, server_ready, server, &server->source);
    if (r >= 0)
        r = event_add_timer(loop, UINT64_MAX, accept_resume, server, &server->resume);
    if (r < 0) {
        server_free(server);
        return r;
    }
    *ret = server;
    return 0;
}

Server *server_free(Server *server)
{
    if (!server)
        return NULL;
    while (server->calls) {
        Call *call = server->calls;
        server->calls = call->next;
        call_free(call);
    }
    event_free(server->source);
    event_free(server->resume);
    free(server);
    return NULL;
}

size_t server_connections(const Server *server)
{
    return server->count;
}
