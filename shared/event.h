/* SPDX-License-Identifier: Apache-2.0 */
/* The loop of a podmon, and of the dispatcher's own descriptors inside h2o's: epoll(7), one
 * timerfd for all deadlines, and work put off to the end of the round. One thread.
 *
 * It is ours because a podmon has to be small: libsystemd with what it pulls in costs 300 KiB of
 * every pod and half of its start-up time.
 *
 * A source may be freed at any time, also inside its own callback or another's; it is never called
 * afterwards. Freeing does not close the descriptor. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

typedef struct EventLoop EventLoop;
typedef struct EventSource EventSource;

/* `events`: EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLERR as they came. */
typedef void (*EventFunction)(void *data, uint32_t events);

int event_loop_new(EventLoop **ret);
EventLoop *event_loop_free(EventLoop *loop); /* sources left over are freed */

/* Level-triggered. `fd` stays the caller's and must outlive the source. */
int event_add_fd(EventLoop *loop, int fd, uint32_t events, EventFunction function, void *data,
                 EventSource **ret);
int event_set_fd(EventSource *source, uint32_t events);

/* Once, at `deadline` (clock_monotonic) or later; the source stays and may be set again. */
int event_add_timer(EventLoop *loop, uint64_t deadline, EventFunction function, void *data,
                    EventSource **ret);
int event_set_timer(EventSource *source, uint64_t deadline); /* UINT64_MAX: off */

/* Once, before the loop waits again; freed by itself after the call. *ret (may be NULL) is for
 * calling it off. */
int event_defer(EventLoop *loop, EventFunction function, void *data, EventSource **ret);

/* Returns NULL, so that `source = event_free(source)`. Accepts NULL. */
EventSource *event_free(EventSource *source);

/* Readable when a step has something to do: for embedding. Owned by the loop. */
int event_loop_fd(const EventLoop *loop);

/* Waits at most timeout_ms (−1: for ever, 0: not at all), calls what is due. 0 or −errno. */
int event_loop_step(EventLoop *loop, int timeout_ms);

/* Steps until event_loop_exit; returns its code, or −errno. */
int event_loop_run(EventLoop *loop);
void event_loop_exit(EventLoop *loop, int code);
