/* SPDX-License-Identifier: Apache-2.0 */
/* What the image store holds and nobody needs: blobs and layers that no record names, and what
 * dead makers left in staging/. Needs no free space: only unlinks. */
#pragma once

#include "dispatcher/image/place.h"

typedef struct GarbageCount {
    size_t blobs, layers, staging;
} GarbageCount;

/* `layers_in_use`: paths as in ContainerSpec.layers; the layers they lead to stay (NULL: none).
 * −EBUSY: the store is locked, or containers are being made, and nothing was done. A record that
 * cannot be read (−EBADMSG) stops it, since nobody knows what that image needs. */
int image_garbage_collect(const ImagePlace *place, char *const *layers_in_use, unsigned int wait_ms,
                          GarbageCount *ret, Failure *why);
