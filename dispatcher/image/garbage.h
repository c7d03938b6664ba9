/* SPDX-License-Identifier: Apache-2.0 */
/* What the image store holds and nobody needs: blobs and layers that no record names, and what
 * dead makers left in staging/ and partial/. Needs no free space: only unlinks. */
#pragma once

#include "dispatcher/image/place.h"

typedef struct GarbageCount {
    size_t blobs, layers, staging;
} GarbageCount;

/* `layers_in_use`: paths as in ContainerSpec.layers; the layers they lead to stay (NULL: none).
 * `sweep_fd` is PLACE_LOCK_SWEEP, held since before those were looked up, so that no container was
 * being made meanwhile; it is closed as soon as nobody can be harmed any more, before the deleting.
 * −EBUSY: the store is locked, and nothing was done. A record that cannot be read (−EBADMSG) stops
 * it, since nobody knows what that image needs. */
int image_garbage_collect(const ImagePlace *place, int *sweep_fd, char *const *layers_in_use,
                          unsigned int wait_ms, GarbageCount *ret, Failure *why);

/* Deletes what dead makers have left in staging/, and in partial/ an hour ago; the rest is as it
 * was. */
int image_garbage_sweep(const ImagePlace *place, Failure *why);
