/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/stream/target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "podmon/stream/conduit.h"
#include "shared/clock.h"
#include "shared/fd.h"

enum { READS_PER_EVENT = 4 };

struct Target {
    EventLoop *loop;
    const TargetEvents *events;
    void *data;
    uint16_t port;
    bool is_v6;
    bool is_connected;
    bool no_input;  /* its end has been passed on */
    bool no_output; /* its reading half is closed, by us or by it */
    bool ending;    /* to be closed when nothing waits */
    int error;      /* why the first address did not do */
    int fd;
    uint32_t watched; /* 0: not at all, because a hang-up cannot be masked */
    EventSource *source;
    EventSource *timer;
    EventSource *soon; /* to send what has been taken */
    ByteQueue queue;   /* waits; */
    Conduit conduit;   /* waits behind that */
};

static void on_ready(void *data, uint32_t events);

size_t target_waiting(const Target *target)
{
    return byte_queue_size(&target->queue) + target->conduit.size;
}

static int watch(Target *target)
{
    uint32_t wanted = 0;

    if (!target->is_connected || target_waiting(target) > 0)
        wanted = EPOLLOUT;
    if (target->is_connected && !target->no_input && target->events->has_room(target->data))
        wanted |= EPOLLIN;
    if (wanted == target->watched)
        return 0;
    target->watched = wanted;
    if (wanted == 0) {
        target->source = event_free(target->source);
        return 0;
    }
    if (target->source)
        return event_set_fd(target->source, wanted);
    return event_add_fd(target->loop, target->fd, wanted, on_ready, target, &target->source);
}

/* 0 or −errno: an error of this address. */
static int connect_to(Target *target)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET,
                             .sin_port = htons(target->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
                              .sin6_port = htons(target->port),
                              .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int one = 1, r;

    target->source = event_free(target->source);
    target->watched = 0;
    fd_close(&target->fd);
    target->fd =
        socket(target->is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (target->fd < 0)
        return -errno;
    (void)setsockopt(target->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    /* The one that is always there. Others pace what they send, which takes more time here, where
     * nothing can be congested, than all the rest. */
    (void)setsockopt(target->fd, IPPROTO_TCP, TCP_CONGESTION, "reno", strlen("reno"));
    r = target->is_v6 ? connect(target->fd, (struct sockaddr *)&v6, sizeof(v6))
                      : connect(target->fd, (struct sockaddr *)&v4, sizeof(v4));
    return r < 0 && errno != EINPROGRESS ? -errno : watch(target);
}

/* `error`: why this address does not do. Whatever happens to the second, the sentence is about the
 * first. */
static int try_next(Target *target, int error)
{
    if (target->error == 0)
        target->error = error;
    if (target->is_v6)
        return -error;
    target->is_v6 = true;
    return connect_to(target);
}

static void fail(Target *target)
{
    target->events->failed(target->data, strerrordesc_np(target->error));
}

static void on_deadline(void *data, uint32_t events)
{
    Target *target = data;

    (void)events;
    if (target->error == 0)
        target->error = ETIMEDOUT;
    fail(target);
}

static void close_output(Target *target)
{
    if (!target->no_output)
        (void)shutdown(target->fd, SHUT_WR); /* Fails if the target was faster. */
    target->no_output = true;
    byte_queue_done(&target->queue);
    conduit_done(&target->conduit);
}

static void flush(Target *target)
{
    bool waited = target_waiting(target) > 0;
    int r = byte_queue_flush(&target->queue, target->fd);

    if (r == 0)
        r = conduit_flush(&target->conduit, target->fd);
    if (r < 0 || (r == 0 && target->ending))
        close_output(target);
    if (waited && r != 1)
        target->events->drained(target->data);
}

static void on_connected(Target *target)
{
    socklen_t size = sizeof(int);
    int error = 0;

    if (getsockopt(target->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    if (error != 0) {
        if (try_next(target, error) < 0)
            fail(target);
        return;
    }
    target->is_connected = true;
    target->timer = event_free(target->timer);
}

/* False: it has ended; a reset is an end like another. */
static bool read_some(Target *target)
{
    for (int i = 0; i < READS_PER_EVENT && target->events->has_room(target->data); i++) {
        ssize_t size = target->events->pass(target->data, target->fd);

        if (size == -EINTR || size == -EAGAIN)
            return true;
        if (size < 0)
            close_output(target);
        if (size <= 0)
            return false;
    }
    return true;
}

static void on_ready(void *data, uint32_t events)
{
    Target *target = data;

    if (!target->is_connected) {
        on_connected(target);
        return;
    }
    if (events & (EPOLLOUT | EPOLLERR))
        flush(target);
    if (!target->no_input && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !read_some(target)) {
        target->no_input = true;
        target->events->end(target->data);
    }
    if (target_is_done(target))
        target->events->done(target->data);
    else
        (void)watch(target); /* Without memory it stays as it is. */
}

int target_new(EventLoop *loop, uint16_t port, const TargetEvents *events, void *data, Target **ret)
{
    uint64_t deadline = clock_monotonic() + TARGET_CONNECT_SECONDS * CLOCK_SECOND;
    Target *target = calloc(1, sizeof(*target));
    int r;

    if (!target)
        return -ENOMEM;
    *target = (Target){.loop = loop, .events = events, .data = data, .port = port, .fd = -1};
    r = event_add_timer(loop, deadline, on_deadline, target, &target->timer);
    if (r < 0) {
        target_free(target);
        return r;
    }
    r = connect_to(target);
    if (r < 0)
        r = try_next(target, -r);
    if (r < 0) /* Not from inside here. */
        (void)event_set_timer(target->timer, 0);
    *ret = target;
    return 0;
}

Target *target_free(Target *target)
{
    if (!target)
        return NULL;
    event_free(target->source);
    event_free(target->timer);
    event_free(target->soon);
    fd_close(&target->fd);
    byte_queue_done(&target->queue);
    conduit_done(&target->conduit);
    free(target);
    return NULL;
}

size_t target_write(Target *target, const void *bytes, size_t size)
{
    int r;

    if (target->no_output || target->ending)
        return 0;
    r = conduit_drain(&target->conduit, &target->queue); /* These come behind. */
    if (r == 0)
        r = target->is_connected ? byte_queue_pass(&target->queue, target->fd, bytes, size)
                                 : byte_queue_add(&target->queue, bytes, size);
    if (r < 0)
        close_output(target);
    (void)watch(target); /* Without memory what waits goes with the next that comes. */
    return target_waiting(target);
}

static void on_soon(void *data, uint32_t events)
{
    Target *target = data;

    (void)events;
    target->soon = NULL;
    on_ready(target, EPOLLOUT);
}

ssize_t target_take(Target *target, int fd, size_t size)
{
    ssize_t taken;
    int ready;

    if (!target->is_connected || target->no_output || target->ending ||
        byte_queue_size(&target->queue) > 0 || size < TARGET_TAKE_MIN ||
        ioctl(fd, FIONREAD, &ready) < 0 || ready < TARGET_TAKE_MIN ||
        (!target->soon && event_defer(target->loop, on_soon, target, &target->soon) < 0))
        return -EINVAL;
    taken = conduit_take(&target->conduit, fd, size);
    return taken > 0 ? taken : -EINVAL; /* The pipe is full. */
}

void target_end(Target *target)
{
    target->ending = true;
    if (target->is_connected && target_waiting(target) == 0)
        close_output(target);
}

void target_resume(Target *target)
{
    (void)watch(target);
}

bool target_is_done(const Target *target)
{
    return target->no_input && target->no_output;
}
