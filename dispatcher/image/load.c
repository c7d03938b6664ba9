/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dispatcher/image/loading.h"
#include "dispatcher/image/place.h"
#include "dispatcher/image/reference.h"
#include "dispatcher/image/unpack.h"
#include "shared/cleanup.h"
#include "shared/fd.h"
#include "shared/file.h"
#include "shared/path.h"
#include "shared/text.h"

#define ARCHIVE_BYTES_MAX (UINT64_C(64) << 30)

enum {
    ARCHIVE_ENTRIES_MAX = 100 * 1000,
    ARCHIVE_TIMEOUT_MS = 60 * 60 * 1000,
};

int loading_open(const Loading *loading, const char *path)
{
    AUTO_CLOSE int fd = path_open_in_root(loading->source_fd, path, O_RDONLY | O_NONBLOCK);
    struct stat status;

    if (fd < 0)
        return fd;
    if (fstat(fd, &status) < 0)
        return -errno;
    return S_ISREG(status.st_mode) ? take_fd(&fd) : -EINVAL;
}

int loading_read(const Loading *loading, const char *path, size_t limit, char **ret,
                 size_t *ret_size, Failure *why)
{
    AUTO_CLOSE int fd = loading_open(loading, path);
    AUTO_FREE char *data = NULL;
    ssize_t count;

    if (fd < 0)
        return failure_set(why, fd == -ENOENT ? FAILURE_NOT_FOUND : FAILURE_INTERNAL, -fd,
                           "cannot open %.300s", path);
    data = malloc(limit + 2);
    if (!data)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot read %.300s", path);
    count = fd_read_all(fd, data, limit + 1);
    if (count < 0)
        return failure_set(why, FAILURE_INTERNAL, (int)-count, "cannot read %.300s", path);
    if ((size_t)count > limit)
        return failure_set(why, FAILURE_INVALID_ARGUMENT, EFBIG, "%.300s: limit %zu bytes", path,
                           limit);
    data[count] = 0;
    *ret = TAKE(data);
    *ret_size = (size_t)count;
    return 0;
}

int loading_add(Loading *loading, const Digest *manifest, const Digest *named, char *const *names,
                Failure *why)
{
    CLEANUP(text_list_cleanup) char **tags = NULL, **digests = NULL;
    char digest[DIGEST_TEXT_SIZE];
    const Podmon__ImageRecord *record, **more;
    char *given[] = {(char *)(uintptr_t)loading->tag, NULL};
    int r;

    if (loading->tag && loading->records_count > 0)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "there are several images, and --tag \"%s\" is one name", loading->tag);
    digest_print(named, digest);
    for (char *const *name = loading->tag ? given : names; name && *name; name++) {
        ImageReference reference;
        char text[IMAGE_REFERENCE_SIZE];

        r = image_reference_parse(*name, &reference, why);
        if (r < 0)
            return r;
        if (reference.tag[0]) {
            image_reference_print_tag(&reference, text);
            if (text_list_add(&tags, text) < 0)
                return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot name an image");
        }
        image_reference_print_digest(&reference, digest, text);
        if (text_list_add(&digests, text) < 0)
            return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot name an image");
    }
    if (!digests)
        return failure_say(
            why, FAILURE_INVALID_ARGUMENT,
            "has no whole name in the file (\"busybox:1\", \"quay.io/a/b\"); give it "
            "one with --tag");
    r = image_commit_add(loading->commit, manifest, tags, digests, &record, why);
    if (r < 0)
        return r;
    more = realloc(loading->records,
                   (loading->records_count + 1) * sizeof(const Podmon__ImageRecord *));
    if (!more)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot load an image");
    loading->records = more;
    loading->records[loading->records_count++] = record;
    return 0;
}

static void loading_done(Loading *loading)
{
    free(loading->records);
    if (loading->source_fd >= 0)
        (void)close(loading->source_fd);
    image_commit_free(loading->commit);
}

/* An archive is unpacked beside the commit, confined as a layer is, and read as a directory. */
static int unpack_source(Loading *loading, int archive_fd, Failure *why)
{
    AUTO_CLOSE int dir_fd =
        file_open_directory_at(image_commit_dir_fd(loading->commit), "source", 0700);
    UnpackPlan plan = {
        .tree_fd = dir_fd,
        .archive_fd = archive_fd,
        .limits = {.bytes = ARCHIVE_BYTES_MAX, .entries = ARCHIVE_ENTRIES_MAX},
    };
    Digest ignored;
    int r;

    if (dir_fd < 0)
        return failure_set(why, FAILURE_INTERNAL, -dir_fd, "cannot make a directory");
    r = unpack_run(&plan, ARCHIVE_TIMEOUT_MS, &ignored, why);
    if (r == 0)
        loading->source_fd = take_fd(&dir_fd);
    return r;
}

static int open_source(Loading *loading, const char *path, Failure *why)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat status;
    int r;

    if (fd < 0 || fstat(fd, &status) < 0)
        return failure_set(why, errno == ENOENT ? FAILURE_NOT_FOUND : FAILURE_INTERNAL, errno,
                           "cannot open it");
    if (S_ISDIR(status.st_mode)) {
        loading->source_fd = take_fd(&fd);
        return 0;
    }
    if (!S_ISREG(status.st_mode) && !S_ISFIFO(status.st_mode))
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "neither a file nor a directory");
    r = fd_set_nonblocking(fd, false);
    return r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot read it")
                 : unpack_source(loading, fd, why);
}

static bool has(const Loading *loading, const char *path)
{
    AUTO_CLOSE int fd = loading_open(loading, path);

    return fd >= 0;
}

static int load(Loading *loading, const char *path, Failure *why)
{
    int r = open_source(loading, path, why);

    if (r < 0)
        return r;
    if (has(loading, "oci-layout") && has(loading, "index.json"))
        r = loading_add_layout(loading, why);
    else if (has(loading, "manifest.json"))
        r = loading_add_saved(loading, why);
    else
        r = failure_say(why, FAILURE_INVALID_ARGUMENT,
                        "neither an OCI image layout (oci-layout, index.json) nor an archive of "
                        "docker save (manifest.json)");
    return r < 0 ? r : image_commit_publish(loading->commit, why);
}

int image_load(const char *root_dir, const char *path, const char *tag, ImageLoadReport *report,
               void *context, Failure *why)
{
    CLEANUP(loading_done) Loading loading = {.source_fd = -1, .tag = tag};
    int r = image_commit_new(root_dir, &loading.commit, why);

    if (r < 0)
        return r;
    r = load(&loading, path, why);
    if (r < 0) {
        failure_prefix(why, "%.300s", path);
        return r;
    }
    for (size_t i = 0; i < loading.records_count; i++)
        report(context, loading.records[i]);
    return (int)loading.records_count;
}
