/* SPDX-License-Identifier: Apache-2.0 */
/* The only place that resolves a path somebody else may have a hand in: below a container's root,
 * in an image's layer, under a log directory. openat2(2) (Linux 5.6) does the walking, so no
 * swapped link leads out; a kernel without it is refused (−ENOSYS), never worked around. */
#pragma once

#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>

/* Absolute, no empty, "." or ".." component, no byte below 0x20, at most PATH_MAX − 1 bytes. */
bool path_is_clean(const char *path);

/* Writes the cleaned form of an absolute path ("//a/./b/../c" → "/a/c"; ".." never climbs above
 * "/") to `ret`, PATH_MAX bytes. −EINVAL: not absolute; −ENAMETOOLONG. Purely textual. */
int path_clean(const char *path, char *ret);

/* One file name: not empty, not "." or "..", no '/', no byte below 0x20, at most NAME_MAX. */
bool path_is_name(const char *name);

/* Opens `path` as a process chrooted to root_fd would see it: links resolve inside, ".." stops at
 * the root, magic links are refused (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS). fd or −errno. */
int path_open_in_root(int root_fd, const char *path, int flags);

/* Opens a path of ours: no link anywhere, no way out, no other file system's magic
 * (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS). fd or −errno. */
int path_open_beneath(int dir_fd, const char *path, int flags, mode_t mode);

typedef enum PathKind {
    PATH_DIRECTORY,
    PATH_FILE, /* an empty regular file */
} PathKind;

/* Like path_open_in_root with O_PATH, making what is missing: directories with `mode`, and the
 * last component as `kind` says, less the umask. Existing components are taken as they are, a link
 * to what is missing has its target made inside the root; a last component of the other kind is
 * −ENOTDIR or −EISDIR. Returns the O_PATH fd or −errno. */
int path_make_in_root(int root_fd, const char *path, PathKind kind, mode_t mode);
