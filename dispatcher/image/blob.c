/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dispatcher/image/place.h"
#include "shared/cleanup.h"
#include "shared/fd.h"

enum { COPY_SIZE = 256 * 1024 };

/* Copies, hashes and counts; stops one byte beyond `size`. */
static int copy(int source_fd, int target_fd, uint64_t size, DigestStream *stream,
                uint64_t *ret_size, Failure *why)
{
    AUTO_FREE char *buffer = malloc(COPY_SIZE);
    uint64_t done = 0;

    if (!buffer)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot copy a blob");
    for (;;) {
        ssize_t count = TEMP_FAILURE_RETRY(read(source_fd, buffer, COPY_SIZE));
        int r;

        if (count < 0)
            return failure_set(why, FAILURE_INTERNAL, errno, "cannot read a blob");
        if (count == 0)
            break;
        done += (uint64_t)count;
        if (done > size)
            return failure_say(why, FAILURE_INVALID_ARGUMENT,
                               "has more than the %" PRIu64 " bytes it should have", size);
        r = digest_stream_add(stream, buffer, (size_t)count);
        if (r == 0)
            r = fd_write_all(target_fd, buffer, (size_t)count);
        if (r < 0)
            return failure_set(why, FAILURE_INTERNAL, -r, "cannot store a blob");
    }
    if (size != BLOB_SIZE_UNKNOWN && done != size)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "has %" PRIu64 " bytes instead of %" PRIu64, done, size);
    *ret_size = done;
    return 0;
}

/* That it is there already is as good: same name, same bytes. */
int blob_publish(int blobs_fd, int fd, const Digest *digest, Failure *why)
{
    AUTO_CLOSE int dir_fd = image_place_open_blobs(blobs_fd, digest->algorithm);
    char hex[DIGEST_HEX_SIZE], path[32];

    if (dir_fd < 0)
        return failure_set(why, FAILURE_INTERNAL, -dir_fd, "cannot open the blobs' directory");
    digest_print_hex(digest, hex);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, path, dir_fd, hex, AT_SYMLINK_FOLLOW) < 0 && errno != EEXIST)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot store a blob");
    return 0;
}

int blob_store(int blobs_fd, int source_fd, const Digest *expected, uint64_t size, Digest *ret,
               uint64_t *ret_size, Failure *why)
{
    CLEANUP(digest_stream_cleanup) DigestStream *stream = NULL;
    AUTO_CLOSE int fd = openat(blobs_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    char wanted[DIGEST_TEXT_SIZE] = "", found[DIGEST_TEXT_SIZE];
    uint64_t copied = 0;
    Digest digest;
    int r;

    if (fd < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot store a blob");
    if (expected)
        digest_print(expected, wanted);
    r = digest_stream_new(expected ? expected->algorithm : DIGEST_SHA256, &stream);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot hash a blob");
    r = copy(source_fd, fd, size, stream, &copied, why);
    if (r < 0) {
        if (expected)
            failure_prefix(why, "blob %s", wanted);
        return r;
    }
    r = digest_stream_finish(stream, &digest);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot hash a blob");
    if (expected && !digest_equal(expected, &digest)) {
        digest_print(&digest, found);
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "blob %s: its bytes have digest %s",
                           wanted, found);
    }
    r = blob_publish(blobs_fd, fd, &digest, why);
    if (r < 0)
        return r;
    if (ret)
        *ret = digest;
    if (ret_size)
        *ret_size = copied;
    return 0;
}

int blob_store_bytes(int blobs_fd, const void *data, size_t size, Digest *ret, Failure *why)
{
    AUTO_CLOSE int fd = fd_sealed_memory("blob", data, size);

    if (fd < 0)
        return failure_set(why, FAILURE_INTERNAL, -fd, "cannot store a blob");
    if (lseek(fd, 0, SEEK_SET) < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot store a blob");
    return blob_store(blobs_fd, fd, NULL, size, ret, NULL, why);
}

int blob_open(int blobs_fd, const Digest *digest, uint64_t *ret_size)
{
    char name[DIGEST_TEXT_SIZE], hex[DIGEST_HEX_SIZE];
    AUTO_CLOSE int fd = -1;
    struct stat status;

    digest_print_hex(digest, hex);
    (void)snprintf(name, sizeof(name), "%s/%s", digest_algorithm_name(digest->algorithm), hex);
    fd = openat(blobs_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -EINVAL;
    if (ret_size)
        *ret_size = (uint64_t)status.st_size;
    return take_fd(&fd);
}

int blob_read(int blobs_fd, const Digest *digest, size_t limit, char **ret, size_t *ret_size,
              Failure *why)
{
    AUTO_FREE char *data = NULL;
    char text[DIGEST_TEXT_SIZE];
    uint64_t size = 0;
    AUTO_CLOSE int fd = blob_open(blobs_fd, digest, &size);
    Digest found;
    ssize_t count;

    digest_print(digest, text);
    if (fd < 0)
        return failure_set(why, FAILURE_INTERNAL, -fd, "cannot open blob %s", text);
    if (size > limit)
        return failure_set(why, FAILURE_INVALID_ARGUMENT, EFBIG, "blob %s: limit %zu bytes", text,
                           limit);
    data = malloc(size + 1);
    if (!data)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot read blob %s", text);
    count = fd_read_all(fd, data, size);
    if (count < 0)
        return failure_set(why, FAILURE_INTERNAL, (int)-count, "cannot read blob %s", text);
    if (digest_of(digest->algorithm, data, (size_t)count, &found) < 0 ||
        !digest_equal(digest, &found))
        return failure_set(why, FAILURE_INTERNAL, EBADMSG, "blob %s on the disk", text);
    data[count] = 0;
    *ret = TAKE(data);
    *ret_size = (size_t)count;
    return 0;
}
