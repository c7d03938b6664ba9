/* SPDX-License-Identifier: Apache-2.0 */
/* The pods of this node as their state files say, kept in memory only to save reading them again:
 * inotify tells what has changed, losing the index loses nothing. Files are in place before a
 * podmon answers, and rename queues its notice at once, so that pod_index_sync before each look
 * makes every client read its own writes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "podmon.pb-c.h"
#include "shared/failure.h"

typedef struct PodIndex PodIndex;

/* A pod as it is to be shown. Valid until the next pod_index_sync. */
typedef struct Pod {
    const Podmon__PodRecord *record;
    bool stale; /* of an earlier boot, known only from the copy on disk: nothing of it runs */
} Pod;

int pod_index_new(const char *run_dir, const char *root_dir, PodIndex **ret, Failure *why);
PodIndex *pod_index_free(PodIndex *index);

/* Takes in what has changed; never waits. A record that cannot be read is left out and logged
 * once. Records of an earlier boot are shown as they must be by now: the pod stopped, running
 * containers exited with 255 and reason "Unknown". Pods being removed are not shown. */
void pod_index_sync(PodIndex *index);

/* Changes whenever pod_index_sync has found a change. */
uint64_t pod_index_generation(const PodIndex *index);

size_t pod_index_count(const PodIndex *index);
const Pod *pod_index_get(const PodIndex *index, size_t position); /* by age, oldest first */

/* `prefix`: an id or the beginning of one. −ENOENT, −ENOTUNIQ, −EINVAL (no hexadecimal digits). */
int pod_index_find(const PodIndex *index, const char *prefix, const Pod **ret);
int pod_index_find_container(const PodIndex *index, const char *prefix, const Pod **ret_pod,
                             const Podmon__ContainerRecord **ret);

/* The sandbox of exactly this namespace, name, uid and attempt, or −ENOENT. */
int pod_index_find_name(const PodIndex *index, const Podmon__PodName *name, const Pod **ret);

/* Called within pod_index_sync for each record that has changed: `before` NULL, the pod is new;
 * `after` NULL, it is gone (or about to go, and no longer shown). Both live until the function
 * returns. NULL takes it back. */
typedef void (*PodIndexChange)(void *data, const Podmon__PodRecord *before,
                               const Podmon__PodRecord *after);
void pod_index_on_change(PodIndex *index, PodIndexChange function, void *data);

/* Tells of each pod that is new or was looked at again, shown or not, and of each that has gone
 * (`pod` NULL), from inside pod_index_sync; and now of all there are. `pod->record` is NULL if it
 * cannot be read. For the one who looks after podmons. */
typedef void (*PodObserver)(void *data, const char *id, const Pod *pod);
void pod_index_observe(PodIndex *index, PodObserver observer, void *data);

/* Readable when something has changed; for whoever wants to know at once (events). */
int pod_index_fd(const PodIndex *index);
