/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/pods/client.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/channel.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/id.h"
#include "shared/layout.h"
#include "shared/log.h"
#include "shared/message.h"

enum {
    CLIENT_ATTEMPTS_MAX = 6,
    CLIENT_WAIT_MS = 5, /* for a podmon that somebody else is starting, or a full backlog */
};

struct PodClient {
    EventLoop *loop;
    const char *run_dir;
    PodGuard *guard;
    PodCall *calls;
};

struct PodCall {
    PodClient *client;
    char pod_id[ID_SIZE];
    ProtobufCMessage *request;
    int passed_fd;      /* goes with the request; −1 */
    int fd;             /* −1 between attempts */
    EventSource *begin; /* the next attempt, deferred or by time */
    EventSource *reply;
    EventSource *deadline;
    int attempts;
    PodAnswer answer;
    void *data;
    PodCall *next, **link;
};

int pod_client_new(EventLoop *loop, const char *run_dir, PodGuard *guard, PodClient **ret)
{
    PodClient *client = calloc(1, sizeof(*client));

    if (!client)
        return -ENOMEM;
    *client = (PodClient){loop, run_dir, guard, NULL};
    *ret = client;
    return 0;
}

PodClient *pod_client_free(PodClient *client)
{
    if (!client)
        return NULL;
    while (client->calls)
        pod_call_cancel(client->calls);
    free(client);
    return NULL;
}

static void call_hang_up(PodCall *call)
{
    call->reply = event_free(call->reply);
    fd_close(&call->fd);
}

void pod_call_cancel(PodCall *call)
{
    *call->link = call->next;
    if (call->next)
        call->next->link = call->link;
    call_hang_up(call);
    (void)event_free(call->begin);
    (void)event_free(call->deadline);
    if (call->request)
        protobuf_c_message_free_unpacked(call->request, NULL);
    free(call);
}

static void call_answer(PodCall *call, const Podmon__Reply *reply, const Failure *why)
{
    PodAnswer answer = call->answer;
    void *data = call->data;

    pod_call_cancel(call);
    answer(data, reply, why);
}

static void call_fail(PodCall *call, FailureCode code, const char *what)
{
    Failure why;

    (void)failure_say(&why, code, "pod %.*s: %s", ID_SHORT, call->pod_id, what);
    call_answer(call, NULL, &why);
}

static void call_begin(void *data, uint32_t events);

static void call_again(PodCall *call, uint64_t delay_ms)
{
    int r;

    call_hang_up(call);
    call->begin = event_free(call->begin);
    r = event_add_timer(call->client->loop, clock_monotonic() + delay_ms * CLOCK_MILLISECOND,
                        call_begin, call, &call->begin);
    if (r < 0)
        call_fail(call, FAILURE_RESOURCE_EXHAUSTED, "out of memory");
}

/* A command must not run twice, and a token is good only once; everything else may be asked again.
 */
static bool is_repeatable(const PodCall *call)
{
    Podmon__Request__CallCase kind = ((const Podmon__Request *)call->request)->call_case;

    return kind != PODMON__REQUEST__CALL_EXEC_SYNC && kind != PODMON__REQUEST__CALL_HAND_STREAM;
}

/* The podmon went away without an answer: it had nothing left to do just then, or it died. */
static void call_lost(PodCall *call)
{
    if (++call->attempts >= CLIENT_ATTEMPTS_MAX || !is_repeatable(call))
        call_fail(call, FAILURE_UNAVAILABLE, "its podmon went away without an answer");
    else
        call_again(call, CLIENT_WAIT_MS);
}

static void on_reply(void *data, uint32_t events)
{
    PodCall *call = data;
    ProtobufCMessage *message = NULL;
    const Podmon__Reply *reply;
    Failure why;
    int r;

    (void)events;
    r = message_receive(call->fd, &podmon__reply__descriptor, NULL, &message);
    if (r == -EAGAIN)
        return;
    if (r == 0 || r == -ECONNRESET) {
        call_lost(call);
        return;
    }
    if (r < 0) {
        call_fail(call, FAILURE_INTERNAL, "its podmon's answer cannot be understood");
        return;
    }
    reply = (const Podmon__Reply *)message;
    if (reply->code == FAILURE_NONE) {
        call_answer(call, reply, NULL);
    } else {
        (void)failure_say(&why, (FailureCode)reply->code, "%s", reply->message);
        call_answer(call, NULL, &why);
    }
    protobuf_c_message_free_unpacked(message, NULL);
}

static int connect_pod(PodCall *call)
{
    AUTO_CLOSE int dir_fd = -1;
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s/" LAYOUT_PODS "/%s", call->client->run_dir,
                 call->pod_id) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    dir_fd = open(path, O_DIRECTORY | O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (dir_fd < 0)
        return -errno;
    return channel_connect_at(dir_fd, LAYOUT_CONTROL);
}

/* Connects; where nobody listens, starts a podmon and connects to that. −EAGAIN: not yet. */
static int reach_pod(PodCall *call, Failure *why)
{
    int fd, r;

    fd = connect_pod(call);
    if (fd != -ENOENT && fd != -ECONNREFUSED)
        return fd;
    r = pod_guard_start(call->client->guard, call->pod_id, why);
    if (r < 0)
        return r == -EAGAIN ? -ENOMEM : r; /* No more processes: nothing to wait for. */
    fd = connect_pod(call);
    return fd == -ENOENT || fd == -ECONNREFUSED ? -EAGAIN : fd;
}

static void call_begin(void *data, uint32_t events)
{
    PodCall *call = data;
    Failure why = {0};
    int r;

    (void)events;
    call->begin = event_free(call->begin);
    r = reach_pod(call, &why);
    if (r == -EAGAIN) {
        call_again(call, CLIENT_WAIT_MS);
        return;
    }
    if (r < 0) {
        if (why.code == FAILURE_NONE)
            (void)failure_set(&why, FAILURE_UNAVAILABLE, -r, "cannot reach the podmon of pod %s",
                              call->pod_id);
        call_answer(call, NULL, &why);
        return;
    }
    call->fd = r;
    r = message_send(call->fd, call->request, &call->passed_fd, call->passed_fd < 0 ? 0 : 1);
    if (r == -EPIPE || r == -ECONNRESET) {
        call_lost(call);
        return;
    }
    if (r == -EMSGSIZE) {
        call_fail(call, FAILURE_RESOURCE_EXHAUSTED, "the request is too large");
        return;
    }
    if (r >= 0)
        r = event_add_fd(call->client->loop, call->fd, EPOLLIN, on_reply, call, &call->reply);
    if (r < 0)
        call_fail(call, FAILURE_INTERNAL, "cannot send the request to its podmon");
}

static void on_deadline(void *data, uint32_t events)
{
    (void)events;
    call_fail(data, FAILURE_DEADLINE_EXCEEDED, "its podmon has not answered in time");
}

void pod_call(PodClient *client, const char *pod_id, const Podmon__Request *request,
              uint64_t deadline, PodAnswer answer, void *data, PodCall **ret)
{
    pod_call_with(client, pod_id, request, -1, deadline, answer, data, ret);
}

void pod_call_with(PodClient *client, const char *pod_id, const Podmon__Request *request, int fd,
                   uint64_t deadline, PodAnswer answer, void *data, PodCall **ret)
{
    PodCall *call = calloc(1, sizeof(*call));

    /* The dispatcher's requests do not outlive a lack of memory: it holds nothing. */
    if (!call)
        abort();
    *call = (PodCall){.client = client,
                      .passed_fd = fd,
                      .fd = -1,
                      .answer = answer,
                      .data = data,
                      .next = client->calls,
                      .link = &client->calls};
    if (call->next)
        call->next->link = &call->next;
    client->calls = call;
    (void)snprintf(call->pod_id, sizeof(call->pod_id), "%s", pod_id);
    call->request = message_copy(&request->base);
    if (!call->request ||
        event_add_timer(client->loop, clock_monotonic(), call_begin, call, &call->begin) < 0 ||
        event_add_timer(client->loop, deadline, on_deadline, call, &call->deadline) < 0)
        abort();
    if (ret)
        *ret = call;
}
