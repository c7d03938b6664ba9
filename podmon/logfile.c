/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/fd.h"
#include "shared/file.h"
#include "shared/path.h"

bool logfile_path_is_valid(const char *path)
{
    char absolute[PATH_MAX];

    return *path && snprintf(absolute, sizeof(absolute), "/%s", path) < (int)sizeof(absolute) &&
           path_is_clean(absolute);
}

/* Opens the directory that holds the last component of `path`, making what is missing on the way;
 * *ret_name is that component. */
static int open_parent(int directory_fd, const char *path, const char **ret_name)
{
    AUTO_CLOSE int fd = fcntl(directory_fd, F_DUPFD_CLOEXEC, 0);
    const char *slash;

    if (fd < 0)
        return -errno;
    while ((slash = strchr(path, '/'))) {
        char name[NAME_MAX + 1];
        int next;

        if (snprintf(name, sizeof(name), "%.*s", (int)(slash - path), path) >= (int)sizeof(name))
            return -ENAMETOOLONG;
        if (mkdirat(fd, name, 0755) < 0 && errno != EEXIST)
            return -errno;
        next = path_open_beneath(fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
        if (next < 0)
            return next;
        fd_close(&fd);
        fd = next;
        path = slash + 1;
    }
    *ret_name = path;
    return take_fd(&fd);
}

int logfile_open(LogFile *file, const char *directory, const char *path, Failure *why)
{
    AUTO_CLOSE int directory_fd = -1;
    AUTO_CLOSE int parent_fd = -1;
    AUTO_CLOSE int fd = -1;
    const char *name = NULL;
    struct stat status;
    int r;

    r = file_make_directories(directory, 0755);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot make the log directory %s",
                           directory);
    directory_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory_fd < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot open the log directory %s",
                           directory);
    parent_fd = open_parent(directory_fd, path, &name);
    if (parent_fd < 0)
        return failure_set(why, FAILURE_FAILED_PRECONDITION, -parent_fd,
                           "cannot open the directory of the log file %s/%s", directory, path);
    /* O_NONBLOCK for the opening alone: a FIFO that somebody put there must not stop us. */
    fd = path_open_beneath(
        parent_fd, name,
        O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0640);
    if (fd < 0)
        return failure_set(
            why, fd == -ELOOP || fd == -ENXIO ? FAILURE_FAILED_PRECONDITION : FAILURE_INTERNAL, -fd,
            "cannot open the log file %s/%s", directory, path);
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return failure_say(why, FAILURE_FAILED_PRECONDITION,
                           "the log file %s/%s is not a regular file", directory, path);
    r = fd_set_nonblocking(fd, false);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot set up the log file %s/%s", directory,
                           path);
    logfile_close(file);
    file->fd = take_fd(&fd);
    return 0;
}

void logfile_close(LogFile *file)
{
    fd_close(&file->fd);
}

/* One writev for all of it. What was written of a batch that did not fit is taken back, so that no
 * reader ever meets half a record for long. */
static bool append(int fd, const struct iovec *vectors, int count)
{
    size_t size = 0;
    ssize_t written;
    off_t end;

    for (int i = 0; i < count; i++)
        size += vectors[i].iov_len;
    do
        written = writev(fd, vectors, count);
    while (written < 0 && errno == EINTR);
    if (written == (ssize_t)size)
        return true;
    if (written > 0) {
        end = lseek(fd, 0, SEEK_CUR);
        if (end >= written)
            (void)!ftruncate(fd, end - written); /* Failing leaves a torn record: all that is left
                                                    to do on a broken file system. */
    }
    return false;
}

/* Appends the batch behind a record that says how many are missing before it: both or neither, so
 * that the last free bytes are not used up by saying so again and again. */
static bool append_after_loss(const LogFile *file, const LogBatch *batch)
{
    struct iovec vectors[1 + LOG_BATCH_VECTORS];
    char time[CLOCK_TEXT_SIZE], text[CLOCK_TEXT_SIZE + 96];
    int size;

    clock_format(clock_real(), time);
    size = snprintf(text, sizeof(text), "%s stderr F podmon: %llu log records were lost here\n",
                    time, (unsigned long long)file->dropped);
    vectors[0] = (struct iovec){text, (size_t)size};
    memcpy(vectors + 1, batch->vectors, (size_t)batch->vectors_count * sizeof(*vectors));
    return append(file->fd, vectors, 1 + batch->vectors_count);
}

void logfile_write(LogFile *file, const LogBatch *batch)
{
    bool written;

    if (file->fd < 0 || batch->records == 0)
        return;
    written = file->dropped > 0 ? append_after_loss(file, batch)
                                : append(file->fd, batch->vectors, batch->vectors_count);
    file->dropped = written ? 0 : file->dropped + batch->records;
}
