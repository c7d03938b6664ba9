/* SPDX-License-Identifier: Apache-2.0 */
/* Where the image store lies: its directories, opened, and its locks. What is in them is told in
 * dispatcher/image/store.h. */
#pragma once

#include <stdbool.h>

#include "dispatcher/image/digest.h"
#include "podmon.pb-c.h"
#include "shared/failure.h"

#define PLACE_TREE "tree" /* in a layer: what overlay mounts */
#define PLACE_SIZE "size" /* in a layer: LayerRecord; the layer is whole while it is there */

typedef struct ImagePlace {
    int root_fd; /* ROOT/images */
    int records_fd, blobs_fd, layers_fd, staging_fd;
    char *path; /* of root_fd, absolute */
} ImagePlace;

/* Makes what is missing, 0700. */
int image_place_open(const char *root_dir, ImagePlace *ret, Failure *why);
void image_place_done(ImagePlace *place);

typedef enum PlaceLock {
    PLACE_LOCK_WRITE, /* whoever publishes, removes or collects garbage; one at a time */
    PLACE_LOCK_USE,   /* shared by those who are about to use layers, against garbage collection */
    PLACE_LOCK_SWEEP, /* the other side of USE: nobody is */
} PlaceLock;

/* The lock falls when the descriptor is closed. fd; −EBUSY after `wait_ms`. */
int image_place_lock(const ImagePlace *place, PlaceLock lock, unsigned int wait_ms);

/* The directory of an algorithm's blobs below one like blobs_fd, made if missing. fd or −errno. */
int image_place_open_blobs(int blobs_fd, DigestAlgorithm algorithm);

/* The record of a whole layer named by `hex` below one like layers_fd. −ENOENT: no such layer. */
int image_place_read_layer(int layers_fd, const char *hex, Podmon__LayerRecord **ret);
