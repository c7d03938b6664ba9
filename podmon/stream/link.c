/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/stream/link.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "podmon/stream/queue.h"
#include "shared/clock.h"
#include "shared/fd.h"

enum {
    READ_SIZE = 64 * 1024,
    READS_PER_EVENT = 4,
    KEEPALIVE_SECONDS = 30, /* of silence before the first probe */
    KEEPALIVE_INTERVAL = 10,
    KEEPALIVE_PROBES = 3,
};

typedef enum LinkState {
    LINK_OPEN,
    LINK_FINISHING, /* what waits is being sent */
    LINK_DRAINING,  /* all is sent, the client's end is awaited */
    LINK_DEAD,
} LinkState;

struct Link {
    int fd;
    LinkState state;
    EventSource *source;
    EventSource *timer; /* idle; or of the end */
    const LinkEvents *events;
    void *data;
    uint64_t last_active;
    bool is_broken; /* writing has failed; said from the loop, not from inside a write */
    bool is_paused;
    bool wants_room; /* somebody has been told that there is none */

    ByteQueue queue;
    uint8_t input[READ_SIZE];
};

static size_t queued(const Link *link)
{
    return byte_queue_size(&link->queue);
}

static bool is_reading(const Link *link)
{
    return link->state != LINK_OPEN || (!link->is_paused && queued(link) < LINK_QUEUE_MAX);
}

static void update(Link *link)
{
    uint32_t wanted = (is_reading(link) ? EPOLLIN : EPOLLRDHUP) | (queued(link) > 0 ? EPOLLOUT : 0);

    if (link->state != LINK_DEAD)
        (void)event_set_fd(link->source, wanted); /* Fails only for a bad descriptor. */
}

static void die(Link *link)
{
    bool finishing = link->state != LINK_OPEN;

    if (link->state == LINK_DEAD)
        return;
    link->state = LINK_DEAD;
    link->source = event_free(link->source);
    link->timer = event_free(link->timer);
    byte_queue_done(&link->queue);
    if (finishing)
        link->events->closed(link->data);
    else
        link->events->gone(link->data);
}

/* From the loop: whoever writes may be in the middle of something. */
static void die_soon(Link *link)
{
    link->is_broken = true;
    (void)event_set_timer(link->timer, 0); /* Fails only for no timer. */
}

static void on_time(void *data, uint32_t events)
{
    Link *link = data;
    uint64_t idle_end = link->last_active + LINK_IDLE_SECONDS * CLOCK_SECOND;

    (void)events;
    if (link->state == LINK_OPEN && !link->is_broken && clock_monotonic() < idle_end)
        (void)event_set_timer(link->timer, idle_end);
    else
        die(link);
}

static void drain(Link *link)
{
    (void)shutdown(link->fd, SHUT_WR); /* Fails only if the client is gone, which is seen then. */
    link->state = LINK_DRAINING;
    (void)event_set_timer(link->timer, clock_monotonic() + LINK_DRAIN_SECONDS * CLOCK_SECOND);
}

static void flush(Link *link)
{
    while (queued(link) > 0) {
        ssize_t size = send(link->fd, byte_queue_data(&link->queue), queued(link),
                            MSG_NOSIGNAL | MSG_DONTWAIT);

        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0 && errno == EAGAIN)
            return;
        if (size < 0) {
            die(link);
            return;
        }
        byte_queue_drop(&link->queue, (size_t)size);
        if (link->state == LINK_FINISHING)
            (void)event_set_timer(link->timer, clock_monotonic() + LINK_END_SECONDS * CLOCK_SECOND);
    }
    if (link->state == LINK_FINISHING)
        drain(link);
}

static void read_input(Link *link)
{
    for (int i = 0; i < READS_PER_EVENT && link->state != LINK_DEAD && is_reading(link); i++) {
        ssize_t size = recv(link->fd, link->input, sizeof(link->input), MSG_DONTWAIT);

        if (size < 0 && (errno == EINTR || errno == EAGAIN))
            return;
        if (size <= 0) {
            die(link);
            return;
        }
        link->last_active = clock_monotonic();
        if (link->state == LINK_OPEN)
            link->events->input(link->data, link->input, (size_t)size);
    }
}

static void on_ready(void *data, uint32_t events)
{
    Link *link = data;

    if (events & EPOLLOUT)
        flush(link);
    if (link->state != LINK_DEAD && !is_reading(link) &&
        (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
        die(link);
    if (link->state != LINK_DEAD && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        read_input(link);
    if (link->state == LINK_OPEN && link->wants_room && link_has_room(link)) {
        link->wants_room = false;
        link->events->room(link->data);
    }
    update(link);
}

/* Best effort: a socket that is no TCP socket (a test's) has none of it. */
static void set_options(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_SECONDS},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES},
    };

    for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                         sizeof(options[i].value));
}

int link_new(EventLoop *loop, int fd, const LinkEvents *events, void *data, Link **ret)
{
    Link *link = calloc(1, sizeof(*link));
    int r;

    if (!link) {
        fd_close(&fd);
        return -ENOMEM;
    }
    link->fd = fd;
    link->events = events;
    link->data = data;
    link->last_active = clock_monotonic();
    set_options(fd);
    r = event_add_fd(loop, fd, EPOLLIN, on_ready, link, &link->source);
    if (r >= 0)
        r = event_add_timer(loop, link->last_active + LINK_IDLE_SECONDS * CLOCK_SECOND, on_time,
                            link, &link->timer);
    if (r < 0) {
        link_free(link);
        return r;
    }
    *ret = link;
    return 0;
}

Link *link_free(Link *link)
{
    if (!link)
        return NULL;
    event_free(link->source);
    event_free(link->timer);
    fd_close(&link->fd);
    byte_queue_done(&link->queue);
    free(link);
    return NULL;
}

/* What the socket takes at once: bytes, or −errno. */
static ssize_t send_parts(const Link *link, const struct iovec *parts, int count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts,
                             .msg_iovlen = (size_t)count};
    ssize_t size;

    if (queued(link) > 0)
        return 0;
    do
        size = sendmsg(link->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (size < 0 && errno == EINTR);
    if (size < 0)
        return errno == EAGAIN ? 0 : -errno;
    return size;
}

void link_write(Link *link, const struct iovec *parts, int count)
{
    ssize_t sent;
    size_t skip;

    if (link->state != LINK_OPEN || link->is_broken)
        return;
    link->last_active = clock_monotonic();
    sent = send_parts(link, parts, count);
    if (sent < 0) {
        die_soon(link);
        return;
    }
    skip = (size_t)sent;
    for (int i = 0; i < count; i++) {
        size_t taken = skip < parts[i].iov_len ? skip : parts[i].iov_len;
        size_t left = parts[i].iov_len - taken;

        skip -= taken;
        if (byte_queue_add(&link->queue, (const uint8_t *)parts[i].iov_base + taken, left) < 0) {
            die_soon(link);
            return;
        }
    }
    if (!link_has_room(link))
        link->wants_room = true;
    update(link);
}

bool link_has_room(const Link *link)
{
    return queued(link) < LINK_QUEUE_MAX / 2;
}

void link_pause(Link *link, bool pause)
{
    if (link->is_paused == pause || link->state != LINK_OPEN)
        return;
    link->is_paused = pause;
    update(link);
}

void link_finish(Link *link)
{
    if (link->state == LINK_DEAD)
        link->events->closed(link->data);
    if (link->state != LINK_OPEN)
        return;
    link->state = LINK_FINISHING;
    (void)event_set_timer(link->timer, clock_monotonic() + LINK_END_SECONDS * CLOCK_SECOND);
    flush(link);
    update(link);
}
