/* SPDX-License-Identifier: Apache-2.0 */
/* One layer's archive unpacked into an empty directory by a confined child (dispatcher/image/
 * confine), whose only say is over the directory and this conversation. The archive's bytes come
 * from any descriptor: a blob's file, or a pipe that a download fills at the same time. */
#pragma once

#include <stdbool.h>

#include "dispatcher/image/layer.h"

typedef struct UnpackPlan {
    int tree_fd;          /* the directory */
    int archive_fd;       /* read to its end by the child only; borrowed */
    const int *lower_fds; /* trees of the layers below, highest first: borrowed until the end */
    size_t lower_fds_count;
    bool lower_is_unfinished; /* they are being unpacked too: wait for unpack_lower_is_whole */
    LayerLimits limits;
} UnpackPlan;

typedef struct Unpack Unpack;

/* Starts the child. −EPERM without the right to make namespaces. */
int unpack_start(const UnpackPlan *plan, Unpack **ret, Failure *why);

/* Kills the child if it still runs; accepts NULL. */
Unpack *unpack_free(Unpack *unpack);

/* Readable when unpack_step has something to do. */
int unpack_fd(const Unpack *unpack);

/* All layers below are in their places: what the child asks of them is answered from now on. */
int unpack_lower_is_whole(Unpack *unpack, Failure *why);

/* 0: not done yet; 1: done and *ret_diff_id is that of the archive; −errno as layer_extract, or
 * −EIO: the child died. Never waits. */
int unpack_step(Unpack *unpack, Digest *ret_diff_id, Failure *why);

/* Steps until the end or `timeout_ms` (−ETIMEDOUT). 0 when done. */
int unpack_wait(Unpack *unpack, int timeout_ms, Digest *ret_diff_id, Failure *why);

/* Start, and steps until the end or `timeout_ms` (−ETIMEDOUT). 0 when done. */
int unpack_run(const UnpackPlan *plan, int timeout_ms, Digest *ret_diff_id, Failure *why);
