/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/event.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"

enum { EVENT_BATCH = 64 };

#define TIMER_OFF UINT64_MAX
#define NOT_IN_HEAP SIZE_MAX

typedef enum SourceKind {
    SOURCE_FD,
    SOURCE_TIMER,
    SOURCE_DEFERRED,
} SourceKind;

struct EventSource {
    TAILQ_ENTRY(EventSource) link; /* in the list of its kind, or in `dead` */
    EventLoop *loop;
    EventFunction function;
    void *data;
    SourceKind kind;
    bool is_dead; /* freed while the loop was calling: memory goes after the round */
    int fd;
    uint32_t events;
    uint64_t deadline;
    uint64_t order; /* of setting; among equal deadlines the first one is called first */
    size_t heap_index;
};

typedef TAILQ_HEAD(SourceList, EventSource) SourceList;

struct EventLoop {
    int epoll_fd;
    int timer_fd;
    uint64_t armed; /* what timer_fd is set to */
    int wake_fd;    /* an eventfd: something is deferred */
    bool woken;
    SourceList sources, deferred, dead;
    EventSource **heap; /* binary, by deadline; room for every timer there is */
    size_t heap_count, heap_capacity, timer_count;
    uint64_t order;
    unsigned int calling; /* steps under way */
    bool exiting;
    int exit_code;
};

/* ------------------------------------------------------------------------------ the heap */

static bool is_before(const EventSource *a, const EventSource *b)
{
    return a->deadline != b->deadline ? a->deadline < b->deadline : a->order < b->order;
}

static void heap_put(EventLoop *loop, size_t index, EventSource *source)
{
    loop->heap[index] = source;
    source->heap_index = index;
}

/* Finds the place for `source`, with a hole at `index`: up while it is due before the parent, down
 * while a child is due before it. */
static void heap_settle(EventLoop *loop, size_t index, EventSource *source)
{
    while (index > 0 && is_before(source, loop->heap[(index - 1) / 2])) {
        heap_put(loop, index, loop->heap[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * index + 1;
        if (child + 1 < loop->heap_count && is_before(loop->heap[child + 1], loop->heap[child]))
            child++;
        if (child >= loop->heap_count || !is_before(loop->heap[child], source))
            break;
        heap_put(loop, index, loop->heap[child]);
        index = child;
    }
    heap_put(loop, index, source);
}

static void heap_remove(EventLoop *loop, EventSource *source)
{
    size_t index = source->heap_index;
    EventSource *last;

    if (index == NOT_IN_HEAP)
        return;
    source->heap_index = NOT_IN_HEAP;
    last = loop->heap[--loop->heap_count];
    if (last != source)
        heap_settle(loop, index, last);
}

static void heap_insert(EventLoop *loop, EventSource *source)
{
    heap_settle(loop, loop->heap_count++, source);
}

static int heap_reserve(EventLoop *loop, size_t count)
{
    size_t capacity = loop->heap_capacity ? loop->heap_capacity : 8;
    EventSource **heap;

    if (count <= loop->heap_capacity)
        return 0;
    while (capacity < count)
        capacity *= 2;
    heap = reallocarray(loop->heap, capacity, sizeof(EventSource *));
    if (!heap)
        return -ENOMEM;
    loop->heap = heap;
    loop->heap_capacity = capacity;
    return 0;
}

/* --------------------------------------------------------------------------- the sources */

static int source_new(EventLoop *loop, SourceKind kind, EventFunction function, void *data,
                      EventSource **ret)
{
    EventSource *source = calloc(1, sizeof(*source));

    if (!source)
        return -ENOMEM;
    *source = (EventSource){
        .loop = loop,
        .function = function,
        .data = data,
        .kind = kind,
        .fd = -1,
        .deadline = TIMER_OFF,
        .heap_index = NOT_IN_HEAP,
    };
    *ret = source;
    return 0;
}

/* Sees to it that the loop's descriptor is readable when there is next something to do. While
 * sources are being called it can wait for the end of the round. A deadline that has gone, as most
 * do long before they come, leaves the timerfd as it is: one empty round later is cheaper than the
 * clock set twice for every call. */
static int loop_arm(EventLoop *loop)
{
    uint64_t wanted = loop->heap_count > 0 ? loop->heap[0]->deadline : TIMER_OFF;
    struct itimerspec value = {0};

    if (loop->calling > 0)
        return 0;
    if (!TAILQ_EMPTY(&loop->deferred) && !loop->woken) {
        if (eventfd_write(loop->wake_fd, 1) < 0)
            return -errno;
        loop->woken = true;
    }
    if (wanted == 0)
        wanted = 1; /* long past; 0 would turn it off */
    if (wanted >= loop->armed)
        return 0;
    value.it_value.tv_sec = (time_t)(wanted / CLOCK_SECOND);
    value.it_value.tv_nsec = (long)(wanted % CLOCK_SECOND);
    if (timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &value, NULL) < 0)
        return -errno;
    loop->armed = wanted;
    return 0;
}

int event_add_fd(EventLoop *loop, int fd, uint32_t events, EventFunction function, void *data,
                 EventSource **ret)
{
    struct epoll_event event = {.events = events};
    AUTO_FREE EventSource *source = NULL;
    int r = source_new(loop, SOURCE_FD, function, data, &source);

    if (r < 0)
        return r;
    event.data.ptr = source;
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return -errno;
    source->fd = fd;
    source->events = events;
    TAILQ_INSERT_TAIL(&loop->sources, source, link);
    *ret = TAKE(source);
    return 0;
}

int event_set_fd(EventSource *source, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    if (source->kind != SOURCE_FD)
        return -EINVAL;
    if (source->is_dead || source->events == events)
        return 0;
    if (epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event) < 0)
        return -errno;
    source->events = events;
    return 0;
}

int event_add_timer(EventLoop *loop, uint64_t deadline, EventFunction function, void *data,
                    EventSource **ret)
{
    AUTO_FREE EventSource *source = NULL;
    int r = heap_reserve(loop, loop->timer_count + 1);

    if (r < 0)
        return r;
    r = source_new(loop, SOURCE_TIMER, function, data, &source);
    if (r < 0)
        return r;
    r = event_set_timer(source, deadline);
    if (r < 0) {
        heap_remove(loop, source);
        return r;
    }
    TAILQ_INSERT_TAIL(&loop->sources, source, link);
    loop->timer_count++;
    *ret = TAKE(source);
    return 0;
}

int event_set_timer(EventSource *source, uint64_t deadline)
{
    EventLoop *loop = source->loop;

    if (source->kind != SOURCE_TIMER)
        return -EINVAL;
    if (source->is_dead)
        return 0;
    heap_remove(loop, source);
    source->deadline = deadline;
    source->order = loop->order++;
    if (deadline != TIMER_OFF)
        heap_insert(loop, source);
    return loop_arm(loop);
}

int event_defer(EventLoop *loop, EventFunction function, void *data, EventSource **ret)
{
    EventSource *source;
    int r = source_new(loop, SOURCE_DEFERRED, function, data, &source);

    if (r < 0)
        return r;
    source->order = loop->order++;
    TAILQ_INSERT_TAIL(&loop->deferred, source, link);
    r = loop_arm(loop);
    if (r < 0) {
        (void)event_free(source);
        return r;
    }
    if (ret)
        *ret = source;
    return 0;
}

EventSource *event_free(EventSource *source)
{
    EventLoop *loop;

    if (!source || source->is_dead)
        return NULL;
    loop = source->loop;
    TAILQ_REMOVE(source->kind == SOURCE_DEFERRED ? &loop->deferred : &loop->sources, source, link);
    if (source->kind == SOURCE_FD)
        (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
    if (source->kind == SOURCE_TIMER) {
        heap_remove(loop, source);
        loop->timer_count--;
    }
    if (loop->calling > 0) {
        source->is_dead = true;
        TAILQ_INSERT_TAIL(&loop->dead, source, link);
        return NULL;
    }
    free(source);
    /* Failing to set the timer costs one empty round. */
    (void)loop_arm(loop);
    return NULL;
}

/* ------------------------------------------------------------------------------ the loop */

/* What is no source's is told by where its descriptor is kept. */
static int watch_own(int epoll_fd, int fd, int *place)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = place};

    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

int event_loop_new(EventLoop **ret)
{
    AUTO_CLOSE int epoll_fd = -1;
    AUTO_CLOSE int timer_fd = -1;
    AUTO_CLOSE int wake_fd = -1;
    AUTO_FREE EventLoop *loop = calloc(1, sizeof(*loop));

    if (!loop)
        return -ENOMEM;
    if ((epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0 ||
        (timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) < 0 ||
        (wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        return -errno;
    if (watch_own(epoll_fd, timer_fd, &loop->timer_fd) < 0 ||
        watch_own(epoll_fd, wake_fd, &loop->wake_fd) < 0)
        return -errno;
    loop->epoll_fd = take_fd(&epoll_fd);
    loop->timer_fd = take_fd(&timer_fd);
    loop->wake_fd = take_fd(&wake_fd);
    loop->armed = TIMER_OFF;
    TAILQ_INIT(&loop->sources);
    TAILQ_INIT(&loop->deferred);
    TAILQ_INIT(&loop->dead);
    *ret = TAKE(loop);
    return 0;
}

static void free_list(SourceList *list)
{
    EventSource *source;

    while ((source = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, source, link);
        free(source);
    }
}

EventLoop *event_loop_free(EventLoop *loop)
{
    if (!loop)
        return NULL;
    fd_close(&loop->epoll_fd);
    fd_close(&loop->timer_fd);
    fd_close(&loop->wake_fd);
    free_list(&loop->sources);
    free_list(&loop->deferred);
    free_list(&loop->dead);
    free(loop->heap);
    free(loop);
    return NULL;
}

int event_loop_fd(const EventLoop *loop)
{
    return loop->epoll_fd;
}

/* Is it the loop's own descriptor? Then that is emptied. */
static bool take_own(EventLoop *loop, const void *place)
{
    uint64_t count;

    if (place == &loop->timer_fd) {
        (void)!read(loop->timer_fd, &count, sizeof(count));
        loop->armed = TIMER_OFF;
        return true;
    }
    if (place == &loop->wake_fd) {
        (void)!read(loop->wake_fd, &count, sizeof(count));
        loop->woken = false;
        return true;
    }
    return false;
}

static void call_fds(EventLoop *loop, const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        EventSource *source = events[i].data.ptr;
        uint32_t came;

        if (take_own(loop, source))
            continue;
        /* What an earlier callback of this round has turned off does not arrive any more. */
        came = events[i].events & (source->events | EPOLLHUP | EPOLLERR);
        if (!source->is_dead && came != 0)
            source->function(source->data, came);
    }
}

/* A callback may set its timer to a time that has passed: then it comes in the next round. */
static void call_timers(EventLoop *loop)
{
    uint64_t now = clock_monotonic(), end = loop->order;

    while (loop->heap_count > 0) {
        EventSource *source = loop->heap[0];
        if (source->deadline > now || source->order >= end)
            break;
        heap_remove(loop, source);
        source->function(source->data, 0);
    }
}

/* Those that are there now; what they defer comes in the next round, which does not wait. */
static void call_deferred(EventLoop *loop)
{
    uint64_t end = loop->order;
    EventSource *source;

    while ((source = TAILQ_FIRST(&loop->deferred)) && source->order < end) {
        source->function(source->data, 0);
        (void)event_free(source);
    }
}

int event_loop_step(EventLoop *loop, int timeout_ms)
{
    struct epoll_event events[EVENT_BATCH];
    int count = epoll_wait(loop->epoll_fd, events, EVENT_BATCH, timeout_ms);

    if (count < 0)
        return errno == EINTR ? 0 : -errno;
    loop->calling++;
    call_fds(loop, events, count);
    call_timers(loop);
    call_deferred(loop);
    loop->calling--;
    if (loop->calling > 0)
        return 0;
    free_list(&loop->dead);
    return loop_arm(loop);
}

int event_loop_run(EventLoop *loop)
{
    while (!loop->exiting) {
        int r = event_loop_step(loop, -1);
        if (r < 0)
            return r;
    }
    loop->exiting = false;
    return loop->exit_code;
}

void event_loop_exit(EventLoop *loop, int code)
{
    loop->exiting = true;
    loop->exit_code = code;
}
