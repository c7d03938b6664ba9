/* SPDX-License-Identifier: Apache-2.0 */
/* What has happened between two records of a pod, as events: whatever steps were missed between
 * them are told too, so that each is told once and in order. Pure. */
#pragma once

#include "dispatcher/arena.h"
#include "podmon.pb-c.h"
#include "runtime_v1.pb-c.h"

typedef struct Change {
    const char *id; /* of a container, or of the sandbox */
    Runtime__V1__ContainerEventType type;
    int64_t at; /* nanoseconds since 1970 */
} Change;

/* `before` NULL: the pod is new; `after` NULL: it is gone. `now`: the time of what has none. The
 * array lives in the arena and shares strings with the records. */
Change *changes_between(Arena *arena, const Podmon__PodRecord *before,
                        const Podmon__PodRecord *after, int64_t now, size_t *ret_count);
