/* SPDX-License-Identifier: Apache-2.0 */
/* A connection to a port of this network namespace: 127.0.0.1 first, then ::1. Both halves close
 * on their own. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shared/event.h"

enum {
    TARGET_QUEUE_MAX = 128 * 1024, /* waiting for the target to read; then the client waits */
    TARGET_TAKE_MIN = 32 * 1024,   /* of a target_take: small pieces could pin many pages */
    TARGET_CONNECT_SECONDS = 30,
};

/* None is called from inside a function below. A target may be freed in the last two. */
typedef struct TargetEvents {
    bool (*has_room)(void *data); /* may bytes be passed on? If not: target_resume later */
    /* Passes on what can be read of `fd`: how much that was, 0 at its end, −errno. */
    ssize_t (*pass)(void *data, int fd);
    void (*end)(void *data);     /* the target says no more */
    void (*drained)(void *data); /* what waited for the target is through, or nobody reads it */
    void (*done)(void *data);    /* both halves are closed */
    void (*failed)(void *data, const char *reason); /* there is no connection */
} TargetEvents;

typedef struct Target Target;

int target_new(EventLoop *loop, uint16_t port, const TargetEvents *events, void *data,
               Target **ret);
Target *target_free(Target *target); /* closes; accepts NULL */

/* Takes all of it; returns how much waits now. */
size_t target_write(Target *target, const void *bytes, size_t size);
/* Takes bytes that `fd`, a socket, has ready, at most `size`, without copying them: how much;
 * −EINVAL: not now, or too few to be worth it. They go out before the loop waits again. */
ssize_t target_take(Target *target, int fd, size_t size);

/* Bytes that wait for the target to read. */
size_t target_waiting(const Target *target);

/* No more to write: the target sees the end behind what waits. */
void target_end(Target *target);
void target_resume(Target *target);
/* Both halves are closed; what `done` would tell, for after a write or an end. */
bool target_is_done(const Target *target);
