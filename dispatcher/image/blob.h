/* SPDX-License-Identifier: Apache-2.0 */
/* Blobs: bytes named by their digest, in a directory like the store's blobs/. Digest and size are
 * checked while the bytes stream by, and only what is right gets its name. */
#pragma once

#include "dispatcher/image/digest.h"
#include "shared/failure.h"

#define BLOB_SIZE_UNKNOWN UINT64_MAX

/* Copies from source_fd to its end. `expected` NULL: whatever sha256 comes out. −EINVAL: another
 * digest or size; −ENOSPC … *ret_size and *ret may be NULL. Nothing is left after a failure. */
int blob_store(int blobs_fd, int source_fd, const Digest *expected, uint64_t size, Digest *ret,
               uint64_t *ret_size, Failure *why);

/* Gives a file without a name (O_TMPFILE in the directory's file system), whose bytes the caller
 * has checked, the name of its digest. */
int blob_publish(int blobs_fd, int fd, const Digest *digest, Failure *why);

int blob_store_bytes(int blobs_fd, const void *data, size_t size, Digest *ret, Failure *why);

/* Read-only fd, or −ENOENT. */
int blob_open(int blobs_fd, const Digest *digest, uint64_t *ret_size);

/* The whole blob, terminated; hashed again. −EFBIG over the limit, −EBADMSG: damaged. */
int blob_read(int blobs_fd, const Digest *digest, size_t limit, char **ret, size_t *ret_size,
              Failure *why);
