/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/tree_compare.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "dispatcher/image/names.h"
#include "shared/cleanup.h"
#include "shared/fd.h"
#include "shared/text.h"

enum {
    BUFFER_SIZE = 256 * 1024,
    DEPTH_MAX = 250, /* a layer has 200 at most (dispatcher/image/tree) */
    ATTRIBUTE_LIST_MAX = 64 * 1024,
};

typedef struct Comparison {
    Failure *why;
    char path[PATH_MAX];
    char *buffers[2];
    unsigned int depth;
} Comparison;

static void comparison_done(Comparison *comparison)
{
    free(comparison->buffers[0]);
    free(comparison->buffers[1]);
}

static int differs(const Comparison *comparison, const char *what)
{
    return failure_set(comparison->why, FAILURE_INTERNAL, EBADMSG, "\"%.300s\" %s",
                       comparison->path, what);
}

static int failed(const Comparison *comparison, int error)
{
    return failure_set(comparison->why, FAILURE_INTERNAL, error, "cannot read \"%.300s\"",
                       comparison->path);
}

static int compare_status(const Comparison *comparison, const struct stat *a, const struct stat *b)
{
    if ((a->st_mode & S_IFMT) != (b->st_mode & S_IFMT))
        return differs(comparison, "is of another kind");
    if (a->st_mode != b->st_mode)
        return differs(comparison, "has another mode");
    if (a->st_uid != b->st_uid || a->st_gid != b->st_gid)
        return differs(comparison, "has another owner");
    /* A directory that its archive leaves out has the time at which it was made. */
    if (!S_ISDIR(a->st_mode) &&
        (a->st_mtim.tv_sec != b->st_mtim.tv_sec || a->st_mtim.tv_nsec != b->st_mtim.tv_nsec))
        return differs(comparison, "has another time of change");
    if (!S_ISDIR(a->st_mode) && (a->st_nlink != b->st_nlink || a->st_rdev != b->st_rdev))
        return differs(comparison, "has other links or another device number");
    if (!S_ISDIR(a->st_mode) && a->st_size != b->st_size)
        return differs(comparison, "has another size");
    return 0;
}

static int compare_attributes(const Comparison *comparison, int a_fd, int b_fd)
{
    char *names = comparison->buffers[0], *values = comparison->buffers[1];
    ssize_t size = flistxattr(a_fd, names, ATTRIBUTE_LIST_MAX);
    ssize_t other = flistxattr(b_fd, NULL, 0);

    if (size < 0 || other < 0)
        return errno == EOPNOTSUPP ? 0 : failed(comparison, errno);
    if (size != other)
        return differs(comparison, "has other attributes");
    for (const char *name = names; name < names + size; name += strlen(name) + 1) {
        char *second = values + BUFFER_SIZE / 2;
        ssize_t length = fgetxattr(a_fd, name, values, BUFFER_SIZE / 2);

        if (length < 0)
            return failed(comparison, errno);
        if (fgetxattr(b_fd, name, second, BUFFER_SIZE / 2) != length ||
            memcmp(values, second, (size_t)length) != 0)
            return differs(comparison, "has other attributes");
    }
    return 0;
}

static int compare_bytes(const Comparison *comparison, int a_fd, int b_fd)
{
    ssize_t count;

    do {
        ssize_t other;

        count = fd_read_all(a_fd, comparison->buffers[0], BUFFER_SIZE);
        other = fd_read_all(b_fd, comparison->buffers[1], BUFFER_SIZE);
        if (count < 0 || other < 0)
            return failed(comparison, (int)-(count < 0 ? count : other));
        if (count != other ||
            memcmp(comparison->buffers[0], comparison->buffers[1], (size_t)count) != 0)
            return differs(comparison, "has other bytes");
    } while (count > 0);
    return 0;
}

static int compare_links(const Comparison *comparison, int a_fd, int b_fd, const char *name)
{
    ssize_t count = readlinkat(a_fd, name, comparison->buffers[0], PATH_MAX);
    ssize_t other = readlinkat(b_fd, name, comparison->buffers[1], PATH_MAX);

    if (count < 0 || other < 0)
        return failed(comparison, errno);
    return count == other &&
                   memcmp(comparison->buffers[0], comparison->buffers[1], (size_t)count) == 0
               ? 0
               : differs(comparison, "leads elsewhere");
}

static int compare_directories(Comparison *comparison, int a_fd, int b_fd);

static int compare_opened(Comparison *comparison, int a_fd, int b_fd, mode_t mode)
{
    int r = compare_attributes(comparison, a_fd, b_fd);

    if (r < 0 || S_ISREG(mode))
        return r < 0 ? r : compare_bytes(comparison, a_fd, b_fd);
    if (++comparison->depth > DEPTH_MAX)
        return differs(comparison, "is too deep");
    r = compare_directories(comparison, a_fd, b_fd);
    comparison->depth--;
    return r;
}

static int compare_entry(Comparison *comparison, int a_fd, int b_fd, const char *name)
{
    const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    AUTO_CLOSE int a_entry_fd = -1, b_entry_fd = -1;
    struct stat a, b;
    int r;

    if (fstatat(a_fd, name, &a, AT_SYMLINK_NOFOLLOW) < 0)
        return failed(comparison, errno);
    if (fstatat(b_fd, name, &b, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? differs(comparison, "is missing") : failed(comparison, errno);
    r = compare_status(comparison, &a, &b);
    if (r < 0)
        return r;
    if (S_ISLNK(a.st_mode))
        return compare_links(comparison, a_fd, b_fd, name);
    if (!S_ISREG(a.st_mode) && !S_ISDIR(a.st_mode))
        return 0;
    a_entry_fd = openat(a_fd, name, flags);
    b_entry_fd = openat(b_fd, name, flags);
    if (a_entry_fd < 0 || b_entry_fd < 0)
        return failed(comparison, errno);
    return compare_opened(comparison, a_entry_fd, b_entry_fd, a.st_mode);
}

/* `a` is what is expected; the numbers of names tell whether the other has more. */
static int compare_directories(Comparison *comparison, int a_fd, int b_fd)
{
    CLEANUP(image_names_cleanup) char **names = NULL, **others = NULL;
    size_t length = strlen(comparison->path);
    int r = image_names_list(a_fd, &names);

    if (r == 0)
        r = image_names_list(b_fd, &others);
    if (r < 0)
        return failed(comparison, -r);
    for (size_t i = 0; r == 0 && names && names[i]; i++) {
        (void)snprintf(comparison->path + length, sizeof(comparison->path) - length, "%s%s",
                       length ? "/" : "", names[i]);
        r = compare_entry(comparison, a_fd, b_fd, names[i]);
        if (r == 0)
            comparison->path[length] = 0;
    }
    if (r == 0 && text_list_count(names) != text_list_count(others))
        r = differs(comparison, "has more in it than it should");
    return r;
}

int tree_compare(int tree_fd, int other_fd, Failure *why)
{
    CLEANUP(comparison_done) Comparison comparison = {.why = why};
    struct stat a, b;
    int r;

    for (size_t i = 0; i < 2; i++) {
        comparison.buffers[i] = malloc(BUFFER_SIZE);
        if (!comparison.buffers[i])
            return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot compare");
    }
    if (fstat(tree_fd, &a) < 0 || fstat(other_fd, &b) < 0)
        return failed(&comparison, errno);
    r = compare_status(&comparison, &a, &b);
    return r < 0 ? r : compare_opened(&comparison, tree_fd, other_fd, a.st_mode);
}
