/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/file.h"
#include "shared/record.h"

enum { LOCK_POLL_MS = 5 };

void image_place_done(ImagePlace *place)
{
    fd_close(&place->root_fd);
    fd_close(&place->records_fd);
    fd_close(&place->blobs_fd);
    fd_close(&place->layers_fd);
    fd_close(&place->staging_fd);
    free(place->path);
    place->path = NULL;
}

static int open_directories(const char *root_dir, ImagePlace *place, Failure *why)
{
    int r;

    if (asprintf(&place->path, "%s/images", root_dir) < 0) {
        place->path = NULL;
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot open the image store");
    }
    r = file_make_directories(place->path, 0700);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot make %s", place->path);
    place->root_fd = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (place->root_fd < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot open %s", place->path);
    if ((r = place->records_fd = file_open_directory_at(place->root_fd, "records", 0700)) < 0 ||
        (r = place->blobs_fd = file_open_directory_at(place->root_fd, "blobs", 0700)) < 0 ||
        (r = place->layers_fd = file_open_directory_at(place->root_fd, "layers", 0700)) < 0 ||
        (r = place->staging_fd = file_open_directory_at(place->root_fd, "staging", 0700)) < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot open the directories in %s",
                           place->path);
    return 0;
}

int image_place_open(const char *root_dir, ImagePlace *ret, Failure *why)
{
    ImagePlace place = {-1, -1, -1, -1, -1, NULL};
    int r = open_directories(root_dir, &place, why);

    if (r < 0) {
        image_place_done(&place);
        return r;
    }
    *ret = place;
    return 0;
}

int image_place_lock(const ImagePlace *place, PlaceLock lock, unsigned int wait_ms)
{
    const char *name = lock == PLACE_LOCK_WRITE ? "lock" : "use";
    uint64_t end = clock_monotonic() + wait_ms * CLOCK_MILLISECOND;
    AUTO_CLOSE int fd =
        openat(place->root_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return -errno;
    while (flock(fd, (lock == PLACE_LOCK_USE ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0) {
        static const struct timespec pause = {.tv_nsec = LOCK_POLL_MS * 1000L * 1000L};

        if (errno != EWOULDBLOCK && errno != EINTR)
            return -errno;
        if (clock_monotonic() >= end)
            return -EBUSY;
        (void)nanosleep(&pause, NULL);
    }
    return take_fd(&fd);
}

int image_place_open_blobs(int blobs_fd, DigestAlgorithm algorithm)
{
    return file_open_directory_at(blobs_fd, digest_algorithm_name(algorithm), 0700);
}

int image_place_read_layer(int layers_fd, const char *hex, Podmon__LayerRecord **ret)
{
    char name[DIGEST_HEX_SIZE + sizeof("/" PLACE_SIZE)];
    ProtobufCMessage *message;
    int r;

    (void)snprintf(name, sizeof(name), "%s/" PLACE_SIZE, hex);
    r = record_read_at(layers_fd, name, &podmon__layer_record__descriptor, NULL, &message);
    if (r < 0)
        return r == -ENOTDIR ? -ENOENT : r;
    *ret = (Podmon__LayerRecord *)message;
    return 0;
}
