/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/partial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "dispatcher/image/names.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/file.h"

#define DIRECTORY "partial"

enum { OPEN_TRIES = 20 };

/* Ranges are written side by side, and a hole ends what was written from the first byte on. Where
 * its last block ends is not where the last byte was written. */
#define EDGE (UINT64_C(1) << 20)

static uint64_t find_begun(int fd, uint64_t size)
{
    struct stat status;
    off_t hole = lseek(fd, 0, SEEK_HOLE);

    if (hole <= 0 || fstat(fd, &status) < 0 || (uint64_t)status.st_size > size)
        return 0;
    if (hole < status.st_size)
        return (uint64_t)hole > EDGE ? (uint64_t)hole - EDGE : 0;
    /* One byte is always asked for: the registry says who may have the blob. */
    return (uint64_t)hole < size ? (uint64_t)hole : size - 1;
}

/* Is the name still that of the open file? A sweep may have come between open and lock. */
static bool is_still_there(int dir_fd, const char *name, int fd)
{
    struct stat opened, named;

    return fstat(fd, &opened) == 0 && fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           opened.st_ino == named.st_ino;
}

static int open_locked(int dir_fd, const char *name)
{
    AUTO_CLOSE int fd =
        openat(dir_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);

    if (fd < 0)
        return -errno;
    return flock(fd, LOCK_EX | LOCK_NB) == 0 && is_still_there(dir_fd, name, fd) ? take_fd(&fd)
                                                                                 : -EBUSY;
}

int partial_open(const ImagePlace *place, const Digest *digest, uint64_t size, uint64_t *ret_begun)
{
    AUTO_CLOSE int dir_fd = file_open_directory_at(place->root_fd, DIRECTORY, 0700);
    char name[DIGEST_TEXT_SIZE];
    int fd = dir_fd < 0 ? dir_fd : -EBUSY;

    digest_print(digest, name);
    /* A sweep holds the lock for no longer than it takes to remove the name. */
    for (int try = 0; fd == -EBUSY && try < OPEN_TRIES; try++) {
        static const struct timespec pause = {.tv_nsec = 1000L * 1000L};

        if (try > 0)
            (void)nanosleep(&pause, NULL);
        fd = open_locked(dir_fd, name);
    }
    if (fd >= 0)
        *ret_begun = size > 0 ? find_begun(fd, size) : 0;
    return fd;
}

void partial_remove(const ImagePlace *place, const Digest *digest)
{
    char path[DIGEST_TEXT_SIZE + sizeof(DIRECTORY "/")] = DIRECTORY "/";

    digest_print(digest, path + sizeof(DIRECTORY "/") - 1);
    (void)unlinkat(place->root_fd, path, 0);
}

static void sweep_one(int dir_fd, const char *name, uint64_t before)
{
    AUTO_CLOSE int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0 ||
        (uint64_t)status.st_mtim.tv_sec * CLOCK_SECOND > before || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return;
    (void)unlinkat(dir_fd, name, 0);
}

int partial_sweep(const ImagePlace *place, uint64_t age_ns)
{
    AUTO_CLOSE int dir_fd =
        openat(place->root_fd, DIRECTORY, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    CLEANUP(image_names_cleanup) char **names = NULL;
    uint64_t now = (uint64_t)clock_real();
    int r;

    if (dir_fd < 0)
        return errno == ENOENT ? 0 : -errno;
    r = image_names_list(dir_fd, &names);
    for (size_t i = 0; r == 0 && names && names[i]; i++)
        sweep_one(dir_fd, names[i], now > age_ns ? now - age_ns : 0);
    return r;
}
