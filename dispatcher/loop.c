/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <h2o.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>

#include "shared/cleanup.h"
#include "shared/fd.h"

struct Loop {
    h2o_loop_t *h2o;
    EventLoop *events;
    h2o_socket_t *bridge; /* wakes h2o's loop when ours has something to do */
    int signal_fd;
    EventSource *signals;
    bool stopped;
    void (*on_terminate)(void *data);
    void *data;
};

/* Nothing to do here: loop_run steps our loop after each round of h2o's, so that what h2o's
 * callbacks have put off is done as well. */
static void on_wake(h2o_socket_t *socket, const char *error)
{
    (void)socket;
    (void)error;
}

static void on_signal(void *data, uint32_t events)
{
    Loop *loop = data;
    struct signalfd_siginfo signal;

    (void)events;
    while (read(loop->signal_fd, &signal, sizeof(signal)) == sizeof(signal)) {
        if (loop->on_terminate)
            loop->on_terminate(loop->data);
    }
}

static int loop_watch_signals(Loop *loop)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    loop->signal_fd = fd_open_signals(&set);
    if (loop->signal_fd < 0)
        return loop->signal_fd;
    return event_add_fd(loop->events, loop->signal_fd, EPOLLIN, on_signal, loop, &loop->signals);
}

static int loop_build(Loop *loop)
{
    int fd, r;

    r = event_loop_new(&loop->events);
    if (r < 0)
        return r;
    r = loop_watch_signals(loop);
    if (r < 0)
        return r;
    /* h2o closes what it is given. */
    fd = fcntl(event_loop_fd(loop->events), F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return -errno;
    loop->h2o = h2o_evloop_create();
    loop->bridge = h2o_evloop_socket_create(loop->h2o, fd, H2O_SOCKET_FLAG_DONT_READ);
    h2o_socket_read_start(loop->bridge, on_wake);
    return 0;
}

int loop_new(Loop **ret)
{
    Loop *loop = calloc(1, sizeof(*loop));
    int r;

    if (!loop)
        return -ENOMEM;
    loop->signal_fd = -1;
    r = loop_build(loop);
    if (r < 0) {
        (void)loop_free(loop);
        return r;
    }
    *ret = loop;
    return 0;
}

Loop *loop_free(Loop *loop)
{
    if (!loop)
        return NULL;
    if (loop->h2o) {
        h2o_socket_close(loop->bridge);
        /* Frees the closed sockets; h2o's loop itself has to be without timeouts for more. */
        h2o_evloop_destroy(loop->h2o);
    }
    (void)event_free(loop->signals);
    fd_close(&loop->signal_fd);
    (void)event_loop_free(loop->events);
    free(loop);
    return NULL;
}

struct st_h2o_evloop_t *loop_h2o(Loop *loop)
{
    return loop->h2o;
}

EventLoop *loop_events(Loop *loop)
{
    return loop->events;
}

int loop_run(Loop *loop, void (*on_terminate)(void *data), void *data)
{
    loop->on_terminate = on_terminate;
    loop->data = data;
    loop->stopped = false;
    while (!loop->stopped) {
        int r = event_loop_step(loop->events, 0);

        if (r < 0)
            return r;
        if (loop->stopped)
            break;
        if (h2o_evloop_run(loop->h2o, INT32_MAX) < 0 && errno != EINTR)
            return -errno;
    }
    return 0;
}

void loop_stop(Loop *loop)
{
    loop->stopped = true;
}
