/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/path.h"

#include <errno.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/fd.h"

enum {
    OPEN_TRIES = 64,      /* openat2(2): −EAGAIN when something was renamed meanwhile */
    MAKES_MAX = PATH_MAX, /* more than a path has components, even with links followed */
};

/* The component at the start of `path` has a name that may be one: its length, or 0. */
static size_t component_length(const char *path)
{
    size_t length = strcspn(path, "/");

    if (length > NAME_MAX || (length == 1 && path[0] == '.') ||
        (length == 2 && path[0] == '.' && path[1] == '.'))
        return 0;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)path[i] < 0x20)
            return 0;
    return length;
}

bool path_is_clean(const char *path)
{
    if (!path || path[0] != '/' || strnlen(path, PATH_MAX) == PATH_MAX)
        return false;
    if (path[1] == '\0')
        return true;
    while (*path == '/') {
        size_t length = component_length(path + 1);
        if (length == 0)
            return false;
        path += 1 + length;
    }
    return true;
}

bool path_is_name(const char *name)
{
    size_t length = name ? component_length(name) : 0;

    return length > 0 && name[length] == '\0';
}

int path_clean(const char *path, char *ret)
{
    char clean[PATH_MAX];
    size_t size = 0;

    if (path[0] != '/')
        return -EINVAL;
    while (*path) {
        size_t length = strcspn(path, "/");
        if (length == 2 && path[0] == '.' && path[1] == '.') {
            while (size > 0 && clean[--size] != '/')
                ;
        } else if (length > 0 && !(length == 1 && path[0] == '.')) {
            if (size + 1 + length >= sizeof(clean))
                return -ENAMETOOLONG;
            clean[size++] = '/';
            memcpy(clean + size, path, length);
            size += length;
        }
        path += length + (path[length] == '/' ? 1 : 0);
    }
    if (size == 0)
        clean[size++] = '/';
    memcpy(ret, clean, size);
    ret[size] = '\0';
    return 0;
}

static int open_resolved(int dir_fd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
    const struct open_how how = {
        .flags = (uint64_t)(unsigned int)(flags | O_CLOEXEC),
        .mode = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? mode : 0,
        .resolve = resolve,
    };

    for (int tries = 0; tries < OPEN_TRIES; tries++) {
        long fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
        if (fd >= 0)
            return (int)fd;
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
    }
    return -EAGAIN;
}

int path_open_in_root(int root_fd, const char *path, int flags)
{
    return open_resolved(root_fd, path, flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

int path_open_beneath(int dir_fd, const char *path, int flags, mode_t mode)
{
    return open_resolved(dir_fd, path, flags, mode,
                         RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

/* 0, also when something of that name is there. */
static int make_component(int dir_fd, const char *name, PathKind kind, mode_t mode)
{
    AUTO_CLOSE int fd = -1;

    if (kind == PATH_DIRECTORY)
        return mkdirat(dir_fd, name, mode) < 0 && errno != EEXIST ? -errno : 0;
    fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode & 0666);
    return fd < 0 && errno != EEXIST ? -errno : 0;
}

/* Puts what a link says in place of its name, `path[start..end)`. */
static int splice_link(char path[PATH_MAX], size_t start, size_t end, const char *target)
{
    size_t head = target[0] == '/' ? 0 : start, length = strlen(target), rest = strlen(path + end);

    if (head + length + rest >= PATH_MAX)
        return -ENAMETOOLONG;
    memmove(path + head + length, path + end, rest + 1);
    memcpy(path + head, target, length); /* NOLINT: the rest behind it is terminated */
    return 0;
}

/* A walk down a path: what is before `end` has been opened, and is `dir_fd`. */
typedef struct Walk {
    char path[PATH_MAX];
    size_t start, end; /* the component that was looked at last */
    int root_fd;
    int dir_fd; /* O_PATH */
} Walk;

static void walk_done(Walk *walk)
{
    fd_close(&walk->dir_fd);
}

static int walk_start(Walk *walk)
{
    fd_close(&walk->dir_fd);
    walk->end = 0;
    walk->dir_fd = path_open_in_root(walk->root_fd, "/", O_PATH | O_DIRECTORY);
    return walk->dir_fd < 0 ? walk->dir_fd : 0;
}

/* Opens the component by the whole path up to it, so that the kernel resolves every link again,
 * inside the root. */
static int walk_open(Walk *walk, PathKind kind)
{
    char rest = walk->path[walk->end];
    int fd;

    walk->path[walk->end] = '\0';
    fd = path_open_in_root(walk->root_fd, walk->path,
                           kind == PATH_DIRECTORY ? O_PATH | O_DIRECTORY : O_PATH);
    walk->path[walk->end] = rest;
    return fd;
}

/* The component leads nowhere. Either it is missing, and is made; or it is a link to what is
 * missing, and the walk starts again along the link. Then it is to be looked at once more. */
static int walk_make(Walk *walk, PathKind kind, mode_t mode)
{
    char name[NAME_MAX + 1], target[PATH_MAX];
    size_t length = walk->end - walk->start;
    ssize_t target_length;
    int r;

    if (length > NAME_MAX)
        return -ENAMETOOLONG;
    memcpy(name, walk->path + walk->start, length);
    name[length] = '\0';
    target_length = readlinkat(walk->dir_fd, name, target, sizeof(target) - 1);
    if (target_length >= 0) {
        target[target_length] = '\0';
        r = splice_link(walk->path, walk->start, walk->end, target);
        return r < 0 ? r : walk_start(walk);
    }
    walk->end = walk->start;
    if (errno == EINVAL) /* no link: somebody has made it meanwhile */
        return 0;
    return errno == ENOENT ? make_component(walk->dir_fd, name, kind, mode) : -errno;
}

/* Goes on to the next component. False: there is none. */
static bool walk_next(Walk *walk, bool *ret_last)
{
    const char *path = walk->path;

    walk->start = walk->end + strspn(path + walk->end, "/");
    walk->end = walk->start + strcspn(path + walk->start, "/");
    *ret_last = path[walk->end + strspn(path + walk->end, "/")] == '\0';
    return walk->end > walk->start;
}

int path_make_in_root(int root_fd, const char *path, PathKind kind, mode_t mode)
{
    CLEANUP(walk_done) Walk walk = {.root_fd = root_fd, .dir_fd = -1};
    struct stat status;
    bool last;
    int r, makes = 0;

    if (strlen(path) >= sizeof(walk.path))
        return -ENAMETOOLONG;
    memcpy(walk.path, path, strlen(path) + 1);
    r = walk_start(&walk);
    while (r == 0 && walk_next(&walk, &last)) {
        PathKind component_kind = last ? kind : PATH_DIRECTORY;
        int fd = walk_open(&walk, component_kind);
        if (fd == -ENOENT && makes++ < MAKES_MAX) {
            r = walk_make(&walk, component_kind, mode);
        } else if (fd < 0) {
            r = fd;
        } else {
            fd_close(&walk.dir_fd);
            walk.dir_fd = fd;
        }
    }
    if (r < 0)
        return r;
    if (kind == PATH_FILE && (fstat(walk.dir_fd, &status) < 0 || S_ISDIR(status.st_mode)))
        return -EISDIR;
    return take_fd(&walk.dir_fd);
}
