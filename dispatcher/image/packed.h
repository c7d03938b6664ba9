/* SPDX-License-Identifier: Apache-2.0 */
/* A layer's archive as it is sent: plain, gzip or zstd, told by its magic number, and only one
 * compression. What comes out is counted and hashed on its way; it is hostile all the same. Runs in
 * the confined child of dispatcher/image/unpack. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "dispatcher/image/digest.h"
#include "shared/failure.h"

typedef struct Packed Packed;

/* `fd` need not seek and is borrowed, as is `why`, until the end. −EINVAL: empty. */
int packed_new(int fd, uint64_t bytes_max, Packed **ret, Failure *why);
Packed *packed_free(Packed *packed);

/* The next piece of the uncompressed archive, borrowed until the next call: its size, 0 at the end.
 * −EINVAL: damaged; −EFBIG: more than bytes_max; −errno of the descriptor. After a failure the same
 * again. */
ssize_t packed_read(Packed *packed, const void **ret);

/* 0, or what packed_read failed with. */
int packed_error(const Packed *packed);

/* sha256 of all pieces so far; once, at the end. */
int packed_finish(Packed *packed, Digest *ret_diff_id);

static inline void packed_cleanup(Packed **packed)
{
    packed_free(*packed);
}
