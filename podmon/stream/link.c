/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/stream/link.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/clock.h"
#include "shared/fd.h"

enum {
    READ_SIZE = 128 * 1024,
    READS_PER_EVENT = 16,
    TAKES_MAX = 3,           /* tried in vain: in a frame's rest, in a header, behind it */
    COPY_MAX = 64 * 1024,    /* of a link_take that does not move */
    MOVE_MIN = 32 * 1024,    /* what is less is copied: small pieces could pin many pages */
    UNSENT_MAX = 256 * 1024, /* bytes in the socket that the client has no room for yet */
    KEEPALIVE_SECONDS = 30,  /* of silence before the first probe */
    KEEPALIVE_INTERVAL = 10,
    KEEPALIVE_PROBES = 3,
    CHECK_SECONDS = 30, /* from one look at the client to the next */
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
    bool is_unanswered; /* at the last look something was under way */
    bool wants_room;    /* somebody has been told that there is none */
    bool may_move;      /* the last take was of many bytes: the next tries not to copy them */
    int takes;          /* to be tried before reading on as usual: much comes */

    ByteQueue queue;
    Conduit conduit; /* empty but between a link_take and its link_move */
    uint8_t input[READ_SIZE];
    uint8_t taken[COPY_MAX];
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

/* At two looks, one after the other, something was under way (data, or a question whether there is
 * room now), and for long nothing has come back: keepalive does not probe then, and TCP gives up
 * after a quarter of an hour. TCP_USER_TIMEOUT would also end who is there but does not read. */
static bool is_silent(Link *link)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);
    bool was_unanswered = link->is_unanswered;

    link->is_unanswered = getsockopt(link->fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
                          (info.tcpi_unacked > 0 || info.tcpi_probes > 0);
    return was_unanswered && link->is_unanswered &&
           info.tcpi_last_ack_recv / 1000 >= LINK_SILENCE_SECONDS;
}

static void on_time(void *data, uint32_t events)
{
    Link *link = data;
    uint64_t now = clock_monotonic();

    (void)events;
    if (link->state == LINK_OPEN && !link->is_broken &&
        now < link->last_active + LINK_IDLE_SECONDS * CLOCK_SECOND && !is_silent(link))
        (void)event_set_timer(link->timer, now + CHECK_SECONDS * CLOCK_SECOND);
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

/* True: the owner has taken some, which does not have to be read. Else *ret_size is what may be. */
static bool take_input(Link *link, size_t *ret_size)
{
    ssize_t size = -EINVAL;

    *ret_size = sizeof(link->input);
    if (link->takes > 0 && link->state == LINK_OPEN) {
        link->takes--;
        size = link->events->take(link->data, link->fd, ret_size);
    }
    if (size > 0)
        link->takes = TAKES_MAX;
    return size > 0;
}

static void read_input(Link *link)
{
    for (int i = 0; i < READS_PER_EVENT && link->state != LINK_DEAD && is_reading(link); i++) {
        size_t wanted;
        ssize_t size;

        if (take_input(link, &wanted))
            continue;
        size = recv(link->fd, link->input, wanted, MSG_DONTWAIT);
        if (size < 0 && (errno == EINTR || errno == EAGAIN))
            return;
        if (size <= 0) {
            die(link);
            return;
        }
        if (size >= MOVE_MIN && link->events->take)
            link->takes = TAKES_MAX;
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
        {IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_MAX},
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
    r = fd_set_nonblocking(fd, true); /* splice(2) asks for nothing else */
    if (r >= 0)
        r = event_add_fd(loop, fd, EPOLLIN, on_ready, link, &link->source);
    if (r >= 0)
        r = event_add_timer(loop, link->last_active + CHECK_SECONDS * CLOCK_SECOND, on_time, link,
                            &link->timer);
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
    conduit_done(&link->conduit);
    byte_queue_done(&link->queue);
    free(link);
    return NULL;
}

/* What the socket takes at once: bytes, or −errno. */
static ssize_t send_parts(const Link *link, const struct iovec *parts, int count, int flags)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts,
                             .msg_iovlen = (size_t)count};
    ssize_t size;

    if (queued(link) > 0)
        return 0;
    do
        size = sendmsg(link->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT | flags);
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
    sent = send_parts(link, parts, count, 0);
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
    return queued(link) == 0;
}

ssize_t link_take(Link *link, int fd, bool may_move, const uint8_t **ret_bytes)
{
    ssize_t size = -EINVAL;

    *ret_bytes = link->taken;
    if (may_move && link->may_move) {
        size = conduit_take(&link->conduit, fd, CONDUIT_SIZE);
        if (size >= MOVE_MIN) {
            *ret_bytes = NULL;
            return size;
        }
        if (size >= 0)
            link->may_move = false;
        if (size > 0)
            size = conduit_read(&link->conduit, link->taken);
    }
    if (size != -EINVAL) /* That is for a file that cannot. */
        return size;
    size = read(fd, link->taken, sizeof(link->taken));
    link->may_move = size >= MOVE_MIN;
    return size < 0 ? -errno : size;
}

/* 0: it is all through, or waits; −errno: nobody can be told any more. */
static int move(Link *link, const void *header, size_t header_size)
{
    struct iovec part = {(void *)(uintptr_t)header, header_size};
    ssize_t sent = send_parts(link, &part, 1, MSG_MORE);
    int r;

    if (sent < 0)
        return (int)sent;
    r = (size_t)sent == header_size ? conduit_flush(&link->conduit, link->fd) : 1;
    if (r < 0 && r != -EINVAL) /* That is for a socket that cannot. */
        return r;
    r = byte_queue_add(&link->queue, (const uint8_t *)header + sent, header_size - (size_t)sent);
    return r < 0 ? r : conduit_drain(&link->conduit, &link->queue);
}

void link_move(Link *link, const void *header, size_t header_size)
{
    if (link->state != LINK_OPEN || link->is_broken)
        return;
    link->last_active = clock_monotonic();
    if (move(link, header, header_size) < 0)
        die_soon(link);
    if (!link_has_room(link))
        link->wants_room = true;
    update(link);
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
