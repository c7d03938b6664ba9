/* SPDX-License-Identifier: Apache-2.0 */
/* Files of ours: read with a bound, written so that a reader sees the old or the new one and
 * nothing between, trees deleted without following a link or entering a mount. Paths are relative
 * to a directory descriptor and are never made of unchecked text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* Reads a regular file of at most `limit` bytes. *ret_data is terminated by a NUL that *ret_size
 * (may be NULL) does not count; the caller frees it. −EFBIG over the limit, −EISDIR, −EINVAL for
 * what is no regular file (never blocks on a FIFO). */
int file_read_at(int dir_fd, const char *name, size_t limit, char **ret_data, size_t *ret_size);

/* Like file_read_at for files of proc, sys and cgroup, whose size is not known beforehand. */
int file_read_virtual_at(int dir_fd, const char *name, size_t limit, char **ret_data,
                         size_t *ret_size);

typedef enum FileSync {
    FILE_SYNC_NO,  /* for tmpfs, and where losing the change in a power cut is harmless */
    FILE_SYNC_YES, /* file and directory are on the disk when this returns */
} FileSync;

/* Replaces `name` by temporary file, rename. On failure the previous content is whole and no
 * temporary file is left. */
int file_write_at(int dir_fd, const char *name, const void *data, size_t size, mode_t mode,
                  FileSync sync);

/* One write(2) of `text` to an existing file (cgroup, proc, sys). −errno of open or write. */
int file_put_at(int dir_fd, const char *name, const char *text);

/* Makes the directories of an absolute path that are missing, with this mode. */
int file_make_directories(const char *path, mode_t mode);

/* Opens a directory below dir_fd, making it with `mode` if it is missing. fd or −errno. */
int file_open_directory_at(int dir_fd, const char *name, mode_t mode);

/* Deletes a file or a whole tree. Links are deleted, not followed; a mount point found on the way
 * is −EBUSY and nothing below it is touched. Absent: 0. Any depth: directories far down are moved
 * to the top of the tree first, so that memory and descriptors are bounded. */
int file_delete_tree_at(int dir_fd, const char *name);

/* Bytes on disk and inodes in use by a directory and what is below it; one file system, what is
 * mounted there is left out, links are not followed. A file with several names counts by the part
 * of them that is here. −ELOOP below 256 levels. */
int file_measure_tree_at(int dir_fd, const char *name, uint64_t *ret_bytes, uint64_t *ret_inodes);

/* The same for whoever cannot wait: −E2BIG once more than `limit` entries were met. */
int file_measure_small_tree_at(int dir_fd, const char *name, size_t limit, uint64_t *ret_bytes,
                               uint64_t *ret_inodes);
