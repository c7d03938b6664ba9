/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/fd.h"

enum { READ_START = 4096 };

/* Reads to the end of the file. There is always one byte of room more than was announced, which
 * tells a file at its limit from one over it, and takes the NUL. */
static int read_to_end(int fd, size_t expected, size_t limit, char **ret_data, size_t *ret_size)
{
    AUTO_FREE char *data = NULL;
    size_t size = 0, capacity = (expected < limit ? expected : limit) + 1;

    for (;;) {
        ssize_t count;
        char *longer = realloc(data, capacity);
        if (!longer)
            return -ENOMEM;
        data = longer;
        count = fd_read_all(fd, data + size, capacity - size);
        if (count < 0)
            return (int)count;
        size += (size_t)count;
        if (size < capacity)
            break;
        if (size > limit)
            return -EFBIG;
        capacity = capacity <= limit / 2 ? capacity * 2 : limit + 1;
    }
    data[size] = '\0';
    *ret_data = TAKE(data);
    if (ret_size)
        *ret_size = size;
    return 0;
}

static int open_regular(int dir_fd, const char *name, struct stat *ret_status)
{
    AUTO_CLOSE int fd = -1;

    fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    if (fstat(fd, ret_status) < 0)
        return -errno;
    if (S_ISDIR(ret_status->st_mode))
        return -EISDIR;
    if (!S_ISREG(ret_status->st_mode))
        return -EINVAL;
    return take_fd(&fd);
}

int file_read_at(int dir_fd, const char *name, size_t limit, char **ret_data, size_t *ret_size)
{
    struct stat status = {0};
    AUTO_CLOSE int fd = open_regular(dir_fd, name, &status);

    if (fd < 0)
        return fd;
    if (status.st_size > 0 && (uintmax_t)status.st_size > limit)
        return -EFBIG;
    return read_to_end(fd, (size_t)status.st_size, limit, ret_data, ret_size);
}

int file_read_virtual_at(int dir_fd, const char *name, size_t limit, char **ret_data,
                         size_t *ret_size)
{
    struct stat status = {0};
    AUTO_CLOSE int fd = open_regular(dir_fd, name, &status);

    return fd < 0 ? fd : read_to_end(fd, READ_START, limit, ret_data, ret_size);
}

/* A temporary name beside `name`: ".<name>.<pid>.new". Also where its directory's part ends. */
static int make_temporary_name(const char *name, char ret[PATH_MAX], size_t *ret_directory)
{
    const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;
    int directory = (int)(base - name), length;

    length = snprintf(ret, PATH_MAX, "%.*s.%s.%ld.new", directory, name, base, (long)getpid());
    if (length < 0 || length >= PATH_MAX)
        return -ENAMETOOLONG;
    *ret_directory = (size_t)directory;
    return 0;
}

/* Our own pid in the name: what is there already was left by a process that has ended, or by
 * this one before it executed itself anew. */
static int create_temporary(int dir_fd, const char *temporary)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(dir_fd, temporary, flags, 0600);

    if (fd < 0 && errno == EEXIST && unlinkat(dir_fd, temporary, 0) == 0)
        fd = openat(dir_fd, temporary, flags, 0600);
    return fd < 0 ? -errno : fd;
}

static int fill_temporary(int fd, const void *data, size_t size, mode_t mode, FileSync sync)
{
    int r = fd_write_all(fd, data, size);

    if (r < 0)
        return r;
    if (fchmod(fd, mode) < 0 || (sync == FILE_SYNC_YES && fsync(fd) < 0))
        return -errno;
    return 0;
}

static int sync_directory(int dir_fd, const char *name)
{
    AUTO_CLOSE int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int file_write_at(int dir_fd, const char *name, const void *data, size_t size, mode_t mode,
                  FileSync sync)
{
    char temporary[PATH_MAX];
    AUTO_CLOSE int fd = -1;
    size_t directory = 0;
    int r;

    r = make_temporary_name(name, temporary, &directory);
    if (r < 0)
        return r;
    fd = create_temporary(dir_fd, temporary);
    if (fd < 0)
        return fd;
    r = fill_temporary(fd, data, size, mode, sync);
    if (r == 0 && renameat(dir_fd, temporary, dir_fd, name) < 0)
        r = -errno;
    if (r < 0) {
        (void)unlinkat(dir_fd, temporary, 0);
        return r;
    }
    if (sync == FILE_SYNC_NO)
        return 0;
    temporary[directory] = '\0';
    return sync_directory(dir_fd, directory > 0 ? temporary : ".");
}

int file_put_at(int dir_fd, const char *name, const char *text)
{
    AUTO_CLOSE int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    size_t size = strlen(text);
    ssize_t count;

    if (fd < 0)
        return -errno;
    count = TEMP_FAILURE_RETRY(write(fd, text, size));
    if (count < 0)
        return -errno;
    return (size_t)count == size ? 0 : -EIO;
}

static int make_directory_at(int dir_fd, const char *name, mode_t mode)
{
    if (mkdirat(dir_fd, name, mode) < 0)
        return errno == EEXIST ? 0 : -errno;
    /* Whatever the umask is. */
    return fchmodat(dir_fd, name, mode, 0) < 0 ? -errno : 0;
}

int file_make_directories(const char *path, mode_t mode)
{
    char prefix[PATH_MAX];
    size_t length = strlen(path);
    struct stat status;

    if (path[0] != '/')
        return -EINVAL;
    if (length >= sizeof(prefix))
        return -ENAMETOOLONG;
    memcpy(prefix, path, length + 1);
    for (size_t end = 1; end <= length; end++) {
        int r;
        if ((path[end] != '/' && path[end] != '\0') || path[end - 1] == '/')
            continue;
        prefix[end] = '\0';
        r = make_directory_at(AT_FDCWD, prefix, mode);
        if (r < 0)
            return r;
        prefix[end] = path[end];
    }
    if (stat(path, &status) < 0)
        return -errno;
    return S_ISDIR(status.st_mode) ? 0 : -ENOTDIR;
}

int file_open_directory_at(int dir_fd, const char *name, mode_t mode)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(dir_fd, name, flags), r;

    if (fd >= 0)
        return fd;
    if (errno != ENOENT)
        return -errno;
    r = make_directory_at(dir_fd, name, mode);
    if (r < 0)
        return r;
    fd = openat(dir_fd, name, flags);
    return fd < 0 ? -errno : fd;
}
