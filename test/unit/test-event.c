/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/event.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/clock.h"
#include "test/unit/test.h"

static void loop_done(EventLoop **loop)
{
    *loop = event_loop_free(*loop);
}

#define LOOP(name) CLEANUP(loop_done) EventLoop *name = NULL

typedef struct Pipe {
    int read_fd, write_fd;
} Pipe;

static Pipe pipe_make(void)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        abort();
    return (Pipe){ends[0], ends[1]};
}

static void pipe_done(Pipe *pipe)
{
    (void)close(pipe->read_fd);
    (void)close(pipe->write_fd);
}

static bool is_readable(int fd)
{
    struct pollfd waiting = {.fd = fd, .events = POLLIN};

    return poll(&waiting, 1, 0) == 1;
}

/* What a callback has seen, and what it is to do. */
typedef struct Probe {
    EventLoop *loop;
    int calls;
    uint32_t events;
    EventSource *source;    /* freed by the callback */
    EventSource *other;     /* freed by the callback too */
    uint64_t set_timer;     /* the callback sets `source` to this */
    char *order, name;      /* the callback adds its name */
    struct Probe *deferred; /* the callback defers to this */
} Probe;

static void probe(void *data, uint32_t events)
{
    Probe *self = data;

    self->calls++;
    self->events = events;
    if (self->order)
        self->order[strlen(self->order)] = self->name;
    if (self->set_timer)
        (void)event_set_timer(self->source, self->set_timer);
    else
        self->source = event_free(self->source);
    self->other = event_free(self->other);
    if (self->deferred)
        (void)event_defer(self->loop, probe, self->deferred, NULL);
}

static void probe_keep(void *data, uint32_t events)
{
    Probe *self = data;

    self->calls++;
    self->events = events;
}

TEST(fd_is_level_triggered_until_freed)
{
    LOOP(loop);
    CLEANUP(pipe_done) Pipe pipe = pipe_make();
    Probe seen = {0};
    EventSource *source = NULL;

    CHECK_EQ(event_loop_new(&loop), 0);
    CHECK_EQ(event_add_fd(loop, pipe.read_fd, EPOLLIN, probe_keep, &seen, &source), 0);
    CHECK_EQ(event_add_fd(loop, pipe.read_fd, EPOLLIN, probe_keep, &seen, &source), -EEXIST);
    CHECK_EQ(event_loop_step(loop, 0), 0);
    CHECK_EQ(seen.calls, 0);
    CHECK_EQ(write(pipe.write_fd, "x", 1), 1);
    CHECK_EQ(event_loop_step(loop, 1000), 0);
    CHECK_EQ(event_loop_step(loop, 1000), 0);
    CHECK_EQ(seen.calls, 2);
    CHECK_EQ(seen.events, EPOLLIN);
    CHECK_EQ(event_set_fd(source, 0), 0);
    CHECK_EQ(event_loop_step(loop, 0), 0);
    CHECK_EQ(seen.calls, 2);
    CHECK_EQ(event_set_fd(source, EPOLLIN), 0);
    CHECK_EQ(event_loop_step(loop, 0), 0);
    CHECK_EQ(seen.calls, 3);
    CHECK(!event_free(source));
    CHECK_EQ(event_loop_step(loop, 0), 0);
    CHECK_EQ(seen.calls, 3);
    CHECK(fcntl(pipe.read_fd, F_GETFD) >= 0);
}

TEST(hang_up_is_told)
{
    LOOP(loop);
    Pipe pipe = pipe_make();
    Probe seen = {0};
    EventSource *source = NULL;

    CHECK_EQ(event_loop_new(&loop), 0);
    CHECK_EQ(event_add_fd(loop, pipe.read_fd, EPOLLIN, probe_keep, &seen, &source), 0);
    (void)close(pipe.write_fd);
    CHECK_EQ(event_loop_step(loop, 1000), 0);
    CHECK_EQ(seen.events, EPOLLHUP);
    CHECK(!event_free(source));
    (void)close(pipe.read_fd);
}

TEST(source_freed_in_its_own_callback)
{
    LOOP(loop);
    CLEANUP(pipe_done) Pipe pipe = pipe_make();
    Probe fd_probe = {0}, timer_probe = {0}, defer_probe = {0};

    CHECK_EQ(event_loop_new(&loop), 0);
    CHECK_EQ(write(pipe.write_fd, "x", 1), 1);
    CHECK_EQ(event_add_fd(loop, pipe.read_fd, EPOLLIN, probe, &fd_probe, &fd_probe.source), 0);
    CHECK_EQ(event_add_timer(loop, 0, probe, &timer_probe, &timer_probe.source), 0);
    CHECK_EQ(event_defer(loop, probe, &defer_probe, &defer_probe.source), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(event_loop_step(loop, 0), 0);
    CHECK_EQ(fd_probe.calls, 1);
    CHECK_EQ(timer_probe.calls, 1);
    CHECK_EQ(defer_probe.calls, 1);
}

TEST(source_freed_by_another_of_the_same_batch)
{
    enum { COUNT = 20 };
    LOOP(loop);
    Pipe pipes[COUNT];
    Probe probes[COUNT] = {0};
    int calls = 0;

    CHECK_EQ(event_loop_new(&loop), 0);
    for (int i = 0; i < COUNT; i++) {
        pipes[i] = pipe_make();
        CHECK_EQ(write(pipes[i].write_fd, "x", 1), 1);
        CHECK_EQ(
            event_add_fd(loop, pipes[i].read_fd, EPOLLIN, probe, &probes[i], &probes[i].source), 0);
    }
    /* In pairs: whichever comes first frees the other. */
    for (int i = 0; i < COUNT; i++)
        probes[i].other = probes[i ^ 1].source;
    for (int i = 0; i < COUNT; i++)
        probes[i].source = NULL;
    CHECK_EQ(event_loop_step(loop, 0), 0);
    for (int i = 0; i < COUNT; i++) {
        calls += probes[i].calls;
        CHECK_EQ(probes[i].calls + probes[i ^ 1].calls, 1);
    }
    CHECK_EQ(calls, COUNT / 2);
    CHECK(!event_loop_free(loop));
    loop = NULL;
    for (int i = 0; i < COUNT; i++)
        pipe_done(&pipes[i]);
}

/* Turns off what the other is waiting for. */
static void mute(void *data, uint32_t events)
{
    Probe *self = data;

    (void)events;
    self->calls++;
    (void)event_set_fd(self->other, 0);
}

TEST(interest_lost_in_the_same_batch)
{
    LOOP(loop);
    CLEANUP(pipe_done) Pipe one = pipe_make();
    CLEANUP(pipe_done) Pipe two = pipe_make();
    Probe first = {0}, second = {0};

    CHECK_EQ(event_loop_new(&loop), 0);
    CHECK_EQ(write(one.write_fd, "x", 1), 1);
    CHECK_EQ(write(two.write_fd, "x", 1), 1);
    CHECK_EQ(event_add_fd(loop, one.read_fd, EPOLLIN, mute, &first, &second.other), 0);
    CHECK_EQ(event_add_fd(loop, two.read_fd, EPOLLIN, mute, &second, &first.other), 0);
    CHECK_EQ(event_loop_step(loop, 0), 0);
    CHECK_EQ(first.calls + second.calls, 1);
}

TEST(timers_come_in_order)
{
    LOOP(loop);
    char order[16] = "";
    Probe probes[8] = {0};
    uint64_t now = clock_monotonic();
    static const int offsets[8] = {5, 3, 3, 1, 4, 0, 2, 3};

    CHECK_EQ(event_loop_new(&loop), 0);
    for (size_t i = 0; i < 8; i++) {
        probes[i] = (Probe){.order = order, .name = (char)('a' + i)};
        CHECK_EQ(event_add_timer(loop, now - 10 + (uint64_t)offsets[i], probe, &probes[i],
                                 &probes[i].source),
                 0);
    }
    probes[4].source = event_free(probes[4].source);
    CHECK_EQ(event_loop_step(loop, 1000), 0);
    CHECK_STR(order, "fdgbcha");
}

TEST(timer_waits_and_is_set_again)
{
    LOOP(loop);
    uint64_t start = clock_monotonic();
    Probe seen = {0};
    EventSource *source = NULL;

    CHECK_EQ(event_loop_new(&loop), 0);
    CHECK_EQ(event_add_timer(loop, start + 20 * CLOCK_MILLISECOND, probe_keep, &seen, &source), 0);
    CHECK_EQ(event_loop_step(loop, 0), 0);
    CHECK_EQ(seen.calls, 0);
    CHECK_EQ(event_loop_step(loop, 5000), 0);
    CHECK_EQ(seen.calls, 1);
    CHECK(clock_monotonic() - start >= 20 * CLOCK_MILLISECOND);
    CHECK_EQ(event_loop_step(loop, 0), 0);
    CHECK_EQ(seen.calls, 1);
    CHECK_EQ(event_set_timer(source, clock_monotonic() + CLOCK_MILLISECOND), 0);
    CHECK_EQ(event_loop_step(loop, 5000), 0);
    CHECK_EQ(seen.calls, 2);
    CHECK_EQ(event_set_timer(source, clock_monotonic() + 5 * CLOCK_MILLISECOND), 0);
    CHECK_EQ(event_set_timer(source, UINT64_MAX), 0);
    CHECK_EQ(event_loop_step(loop, 30), 0);
    CHECK_EQ(seen.calls, 2);
    CHECK_EQ(event_set_fd(source, EPOLLIN), -EINVAL);
    CHECK(!event_free(source));
}

TEST(timer_that_is_always_due_lets_others_run)
{
    LOOP(loop);
    CLEANUP(pipe_done) Pipe pipe = pipe_make();
    Probe busy = {.set_timer = 1}, other = {0};
    EventSource *source = NULL;

    CHECK_EQ(event_loop_new(&loop), 0);
    CHECK_EQ(write(pipe.write_fd, "x", 1), 1);
    CHECK_EQ(event_add_timer(loop, 1, probe, &busy, &busy.source), 0);
    CHECK_EQ(event_add_fd(loop, pipe.read_fd, EPOLLIN, probe_keep, &other, &source), 0);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(event_loop_step(loop, 1000), 0);
    CHECK_EQ(busy.calls, 10);
    CHECK(other.calls >= 9);
}

typedef struct TimerProbe {
    EventSource *source;
    uint64_t deadline;
    uint64_t *last; /* deadline of the timer called before */
    int calls;
    bool in_order;
} TimerProbe;

static void probe_timer(void *data, uint32_t events)
{
    TimerProbe *self = data;

    (void)events;
    self->calls++;
    self->in_order = self->deadline >= *self->last;
    *self->last = self->deadline;
}

TEST(thousand_timers_set_and_freed)
{
    enum { COUNT = 1000 };
    static TimerProbe probes[COUNT];
    LOOP(loop);
    uint64_t past = clock_monotonic() - CLOCK_SECOND, last = 0;

    srand(1);
    CHECK_EQ(event_loop_new(&loop), 0);
    for (int i = 0; i < COUNT; i++) {
        probes[i].last = &last;
        CHECK_EQ(event_add_timer(loop, UINT64_MAX - 1 - (uint64_t)rand(), probe_timer, &probes[i],
                                 &probes[i].source),
                 0);
    }
    for (int i = 0; i < COUNT; i += 2) {
        probes[i].deadline = past + (uint64_t)(rand() % 1000);
        CHECK_EQ(event_set_timer(probes[i].source, probes[i].deadline), 0);
    }
    for (int i = 0; i < COUNT; i += 4)
        probes[i].source = event_free(probes[i].source);
    CHECK_EQ(event_loop_step(loop, 1000), 0);
    for (int i = 0; i < COUNT; i++) {
        CHECK_EQ(probes[i].calls, i % 4 == 2 ? 1 : 0);
        CHECK(probes[i].calls == 0 || probes[i].in_order);
    }
}

TEST(deferred_runs_once_in_order_before_waiting)
{
    LOOP(loop);
    char order[16] = "";
    Probe a = {.order = order, .name = 'a'}, b = {.order = order, .name = 'b'};
    Probe c = {.order = order, .name = 'c'}, never = {0};
    EventSource *off = NULL;
    uint64_t start = clock_monotonic();

    CHECK_EQ(event_loop_new(&loop), 0);
    a.loop = loop;
    a.deferred = &c;
    CHECK_EQ(event_defer(loop, probe, &a, NULL), 0);
    CHECK_EQ(event_defer(loop, probe, &never, &off), 0);
    CHECK_EQ(event_defer(loop, probe, &b, NULL), 0);
    CHECK(!event_free(off));
    CHECK(is_readable(event_loop_fd(loop)));
    CHECK_EQ(event_loop_step(loop, 10000), 0);
    CHECK_STR(order, "ab");
    CHECK_EQ(event_loop_step(loop, 10000), 0);
    CHECK_STR(order, "abc");
    CHECK(clock_monotonic() - start < 5 * CLOCK_SECOND);
    CHECK_EQ(never.calls, 0);
    CHECK(!is_readable(event_loop_fd(loop)));
}

TEST(deferred_freed_by_another_deferred)
{
    LOOP(loop);
    Probe first = {0}, second = {0};

    CHECK_EQ(event_loop_new(&loop), 0);
    CHECK_EQ(event_defer(loop, probe, &first, NULL), 0);
    CHECK_EQ(event_defer(loop, probe, &second, &first.other), 0);
    CHECK_EQ(event_loop_step(loop, 0), 0);
    CHECK_EQ(event_loop_step(loop, 0), 0);
    CHECK_EQ(first.calls, 1);
    CHECK_EQ(second.calls, 0);
}

TEST(loop_fd_tells_of_timers)
{
    LOOP(loop);
    Probe seen = {0};
    EventSource *source = NULL;

    CHECK_EQ(event_loop_new(&loop), 0);
    CHECK(!is_readable(event_loop_fd(loop)));
    CHECK_EQ(event_add_timer(loop, 0, probe_keep, &seen, &source), 0);
    CHECK(is_readable(event_loop_fd(loop)));
    CHECK_EQ(event_loop_step(loop, 0), 0);
    CHECK_EQ(seen.calls, 1);
    CHECK(!is_readable(event_loop_fd(loop)));
}

static void leave(void *data, uint32_t events)
{
    (void)events;
    event_loop_exit(data, 42);
}

TEST(run_until_exit)
{
    LOOP(loop);
    EventSource *source = NULL;

    CHECK_EQ(event_loop_new(&loop), 0);
    CHECK_EQ(event_add_timer(loop, clock_monotonic() + CLOCK_MILLISECOND, leave, loop, &source), 0);
    CHECK_EQ(event_loop_run(loop), 42);
    CHECK_EQ(event_defer(loop, leave, loop, NULL), 0);
    CHECK_EQ(event_loop_run(loop), 42);
    CHECK(!event_free(NULL));
    CHECK(!event_loop_free(NULL));
}

TEST_MAIN
