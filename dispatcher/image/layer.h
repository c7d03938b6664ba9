/* SPDX-License-Identifier: Apache-2.0 */
/* Reads one layer's archive (tar; dispatcher/image/packed) from a descriptor that need not seek,
 * hands its entries to a tree and computes the diff id of what it reads, in one pass. Everything
 * from the first byte on is hostile: this runs in the confined child of dispatcher/image/unpack. */
#pragma once

#include "dispatcher/image/digest.h"
#include "dispatcher/image/tree.h"
#include "shared/failure.h"

typedef struct LayerLimits {
    uint64_t bytes;   /* of the uncompressed archive */
    uint64_t entries; /* files, directories, links … */
} LayerLimits;

enum {
    LAYER_ENTRIES_MAX = 2 * 1000 * 1000,
    LAYER_ATTRIBUTE_MAX = 64 * 1024, /* bytes of one extended attribute */
};

/* −EINVAL: a broken or refused archive; −EFBIG: over a limit; −ENOSPC … of the disk. What has been
 * written by then stays for the caller to delete. *ret_diff_id is the sha256 of the uncompressed
 * archive, to its last byte. */
int layer_extract(int archive_fd, int root_fd, const LayerLimits *limits, const TreeHelper *helper,
                  Digest *ret_diff_id, Failure *why);

/* Loads what libarchive would look for in the root directory's libraries later: to be called
 * before the root is the layer's. */
void layer_prepare(void);
