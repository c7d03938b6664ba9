/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/stream/relay.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dispatcher/stream/relay_confine.h"
#include "shared/clock.h"
#include "shared/event.h"

enum {
    WAY_SIZE = 32 * 1024,
    TURNS = 16,             /* of a ready connection, before the loop looks again */
    LINGER_SECONDS = 5,     /* for a client to end, once all is sent */
    KEEPALIVE_SECONDS = 30, /* of silence before the first probe */
    KEEPALIVE_INTERVAL = 10,
    KEEPALIVE_PROBES = 3,
};

/* Bytes in one direction. */
typedef struct Way {
    uint8_t bytes[WAY_SIZE];
    size_t start, end;
    bool is_ended; /* nothing more comes in */
    bool is_over;  /* and that is passed on */
} Way;

typedef struct Relay {
    EventLoop *loop;
    SSL *ssl;
    int client_fd, plain_fd;
    EventSource *client, *plain; /* NULL while nothing is awaited: a hang-up cannot be masked */
    EventSource *timer;
    uint32_t client_wants, plain_wants; /* after a turn */
    bool is_open;                       /* the handshake is through */
    bool has_hung_up; /* the client, while its bytes find no taker: the timer runs until they do */
    Way in, out;      /* from, and to the client */
} Relay;

static bool is_empty(const Way *way)
{
    return way->start == way->end;
}

static void give_up(const Relay *relay)
{
    event_loop_exit(relay->loop, 0);
}

/* 1: done; 0: the socket has to be waited for; −1: the connection is broken. */
static int judge(Relay *relay, int result)
{
    int error;

    if (result > 0)
        return 1;
    error = SSL_get_error(relay->ssl, result);
    ERR_clear_error();
    if (error == SSL_ERROR_WANT_READ)
        relay->client_wants |= EPOLLIN;
    else if (error == SSL_ERROR_WANT_WRITE)
        relay->client_wants |= EPOLLOUT;
    else
        return -1;
    return 0;
}

/* ---- a turn of each half: true if something has moved */

static bool read_client(Relay *relay)
{
    Way *way = &relay->in;
    size_t size = 0;
    int r;

    if (way->is_ended || !is_empty(way))
        return false;
    r = judge(relay, SSL_read_ex(relay->ssl, way->bytes, sizeof(way->bytes), &size));
    if (r == 0)
        return false;
    way->start = 0;
    way->end = r > 0 ? size : 0;
    way->is_ended = r < 0; /* A close_notify, or the connection's end without one. */
    return true;
}

static bool write_plain(Relay *relay)
{
    Way *way = &relay->in;
    ssize_t size;

    if (way->is_over)
        return false;
    if (is_empty(way)) {
        if (way->is_ended)
            (void)shutdown(relay->plain_fd, SHUT_WR); /* Fails when the other side is gone. */
        way->is_over = way->is_ended;
        return way->is_over;
    }
    size = send(relay->plain_fd, way->bytes + way->start, way->end - way->start, MSG_NOSIGNAL);
    if (size < 0 && errno == EAGAIN) {
        relay->plain_wants |= EPOLLOUT;
        return false;
    }
    if (size < 0)
        way->start = way->end; /* Nobody reads it any more. */
    else
        way->start += (size_t)size;
    if (relay->has_hung_up && !relay->out.is_over)
        (void)event_set_timer(relay->timer, UINT64_MAX);
    relay->has_hung_up = false;
    return true;
}

static bool read_plain(Relay *relay)
{
    Way *way = &relay->out;
    ssize_t size;

    if (way->is_ended || !is_empty(way))
        return false;
    size = recv(relay->plain_fd, way->bytes, sizeof(way->bytes), 0);
    if (size < 0 && errno == EAGAIN) {
        relay->plain_wants |= EPOLLIN;
        return false;
    }
    way->start = 0;
    way->end = size > 0 ? (size_t)size : 0;
    way->is_ended = size <= 0;
    return true;
}

static bool write_client(Relay *relay)
{
    Way *way = &relay->out;
    size_t size = 0;
    int r;

    if (way->is_over || (is_empty(way) && !way->is_ended))
        return false;
    if (is_empty(way)) {
        r = SSL_shutdown(relay->ssl);
        if (r < 0 && judge(relay, r) == 0)
            return false;
        (void)shutdown(relay->client_fd, SHUT_WR);
        way->is_over = true;
        (void)event_set_timer(relay->timer, clock_monotonic() + LINGER_SECONDS * CLOCK_SECOND);
        return true;
    }
    r = judge(relay,
              SSL_write_ex(relay->ssl, way->bytes + way->start, way->end - way->start, &size));
    if (r < 0)
        give_up(relay);
    way->start += r > 0 ? size : 0;
    return r > 0;
}

static bool shake_hands(Relay *relay)
{
    int r = judge(relay, SSL_accept(relay->ssl));

    if (r < 0)
        give_up(relay);
    relay->is_open = r > 0;
    return relay->is_open;
}

static bool take_turn(Relay *relay)
{
    bool moved;

    relay->client_wants = relay->plain_wants = 0;
    if (!relay->is_open && !shake_hands(relay)) {
        relay->plain_wants = EPOLLIN; /* Its end: nobody waits for this client any more. */
        return false;
    }
    moved = read_client(relay);
    moved |= write_plain(relay);
    moved |= read_plain(relay);
    moved |= write_client(relay);
    return moved;
}

/* ---- the loop */

static void on_ready(void *data, uint32_t events);

static void watch(Relay *relay, int fd, uint32_t wanted, EventSource **source)
{
    int r = 0;

    if (wanted == 0)
        *source = event_free(*source);
    else if (*source)
        r = event_set_fd(*source, wanted);
    else
        r = event_add_fd(relay->loop, fd, wanted, on_ready, relay, source);
    if (r < 0)
        give_up(relay);
}

static void go_on(Relay *relay)
{
    bool moved = true;

    for (int turn = 0; turn < TURNS && moved; turn++)
        moved = take_turn(relay);
    if (relay->in.is_over && relay->out.is_over) {
        give_up(relay);
        return;
    }
    if (moved) { /* The timer must have its turn too. */
        relay->client_wants |= EPOLLIN | EPOLLOUT;
        relay->plain_wants |= EPOLLIN;
    }
    /* A client that goes while its bytes find no taker is noticed all the same. */
    if (!relay->in.is_ended && !relay->has_hung_up && !(relay->client_wants & EPOLLIN))
        relay->client_wants |= EPOLLRDHUP;
    watch(relay, relay->client_fd, relay->client_wants, &relay->client);
    watch(relay, relay->plain_fd, relay->plain_wants, &relay->plain);
}

static void on_ready(void *data, uint32_t events)
{
    Relay *relay = data;
    char byte;

    if (!relay->is_open && recv(relay->plain_fd, &byte, 1, MSG_PEEK) == 0) {
        give_up(relay);
        return;
    }
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) && !is_empty(&relay->in) &&
        !relay->has_hung_up) {
        relay->has_hung_up = true;
        (void)event_set_timer(relay->timer, clock_monotonic() + LINGER_SECONDS * CLOCK_SECOND);
    }
    go_on(relay);
}

static void on_time(void *data, uint32_t events)
{
    (void)events;
    give_up(data);
}

/* Best effort: without them a client that vanishes is noticed later. */
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

static int serve(Relay *relay, SSL_CTX *context)
{
    int r = event_loop_new(&relay->loop);

    if (r < 0)
        return r;
    relay->ssl = SSL_new(context);
    if (!relay->ssl || SSL_set_fd(relay->ssl, relay->client_fd) != 1)
        return -ENOMEM;
    set_options(relay->client_fd);
    r = event_add_timer(relay->loop, UINT64_MAX, on_time, relay, &relay->timer);
    if (r >= 0)
        r = relay_confine();
    if (r < 0)
        return r;
    go_on(relay);
    return event_loop_run(relay->loop);
}

_Noreturn void relay_main(SSL_CTX *context, int client_fd, int plain_fd)
{
    static Relay relay;

    relay.client_fd = client_fd;
    relay.plain_fd = plain_fd;
    if (relay_drop(client_fd, plain_fd) < 0 || serve(&relay, context) < 0)
        _exit(EXIT_FAILURE);
    _exit(EXIT_SUCCESS);
}
