/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/layer_job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "dispatcher/image/commit_part.h"
#include "dispatcher/image/config.h"
#include "dispatcher/image/unpack.h"
#include "shared/cleanup.h"
#include "shared/fd.h"
#include "shared/file.h"
#include "shared/record.h"

#define UNPACK_BYTES_MAX (UINT64_C(64) << 30)

enum { UNPACK_TIMEOUT_MS = 60 * 60 * 1000 };

struct LayerJob {
    Unpack *unpack;
    Digest diff_id;
    char parent[DIGEST_TEXT_SIZE]; /* chain id of the layer below; "": none */
    int layer_fd, tree_fd;
    int lower_fds[IMAGE_LAYERS_MAX]; /* trees of the layers below, highest first */
    size_t lower_fds_count;
};

static const char *hex_of(const char *chain_id)
{
    return strchr(chain_id, ':') + 1;
}

/* In the commit: a directory being made, or an empty file for a layer that the store has. Either
 * name keeps garbage collection from that layer. */
int layer_job_claim(ImageCommit *commit, const char *chain_id, Failure *why)
{
    AUTO_CLOSE int lock_fd = -1, note_fd = -1;
    const char *hex = hex_of(chain_id);
    Podmon__LayerRecord *record;
    int r;

    if (faccessat(commit->layers_fd, hex, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return 1;
    lock_fd = image_place_lock(&commit->place, PLACE_LOCK_WRITE, COMMIT_LOCK_WAIT_MS);
    if (lock_fd < 0)
        return failure_set(why, FAILURE_UNAVAILABLE, -lock_fd, "the image store is locked");
    r = image_place_read_layer(commit->place.layers_fd, hex, &record);
    if (r < 0)
        return 0;
    podmon__layer_record__free_unpacked(record, NULL);
    note_fd = openat(commit->layers_fd, hex, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return note_fd < 0 ? failure_set(why, FAILURE_INTERNAL, errno, "cannot claim a layer") : 1;
}

static int open_tree_of(const ImageCommit *commit, const char *hex)
{
    char path[DIGEST_HEX_SIZE + sizeof("/" PLACE_TREE)];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/" PLACE_TREE, hex);
    fd = openat(commit->layers_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        fd = openat(commit->place.layers_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int open_lower(const ImageCommit *commit, const LayerPlan *plan, LayerJob *job, Failure *why)
{
    for (size_t i = plan->position; i-- > 0;) {
        int fd = open_tree_of(commit, hex_of(plan->chain[i]));

        if (fd < 0)
            return failure_set(why, FAILURE_INTERNAL, -fd, "cannot open layer %s", plan->chain[i]);
        job->lower_fds[job->lower_fds_count++] = fd;
    }
    return 0;
}

static int start_unpacker(const LayerPlan *plan, LayerJob *job, Failure *why)
{
    UnpackPlan unpack = {
        .tree_fd = job->tree_fd,
        .archive_fd = plan->archive_fd,
        .lower_fds = job->lower_fds,
        .lower_fds_count = job->lower_fds_count,
        .lower_is_unfinished = !plan->lower_is_whole,
        .limits = {.bytes = UNPACK_BYTES_MAX, .entries = LAYER_ENTRIES_MAX},
    };
    struct statvfs space;

    if (fstatvfs(job->tree_fd, &space) == 0 &&
        (uint64_t)space.f_bavail < UNPACK_BYTES_MAX / space.f_frsize)
        unpack.limits.bytes = space.f_bavail * space.f_frsize;
    return unpack_start(&unpack, &job->unpack, why);
}

static int start(ImageCommit *commit, const LayerPlan *plan, LayerJob *job, Failure *why)
{
    int r;

    job->layer_fd =
        file_open_directory_at(commit->layers_fd, hex_of(plan->chain[plan->position]), 0700);
    if (job->layer_fd < 0)
        return failure_set(why, FAILURE_INTERNAL, -job->layer_fd, "cannot make its directory");
    job->tree_fd = file_open_directory_at(job->layer_fd, PLACE_TREE, 0755);
    if (job->tree_fd < 0)
        return failure_set(why, FAILURE_INTERNAL, -job->tree_fd, "cannot make its directory");
    if (fchmod(job->tree_fd, 0755) < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot make its directory");
    job->diff_id = *plan->diff_id;
    if (plan->position > 0)
        (void)snprintf(job->parent, sizeof(job->parent), "%s", plan->chain[plan->position - 1]);
    r = open_lower(commit, plan, job, why);
    return r < 0 ? r : start_unpacker(plan, job, why);
}

int layer_job_start(ImageCommit *commit, const LayerPlan *plan, LayerJob **ret, Failure *why)
{
    LayerJob *job = calloc(1, sizeof(*job));
    int r;

    if (!job)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot unpack");
    job->layer_fd = job->tree_fd = -1;
    r = start(commit, plan, job, why);
    if (r < 0) {
        layer_job_free(job);
        return r;
    }
    *ret = job;
    return 0;
}

LayerJob *layer_job_free(LayerJob *job)
{
    if (!job)
        return NULL;
    unpack_free(job->unpack);
    for (size_t i = 0; i < job->lower_fds_count; i++)
        (void)close(job->lower_fds[i]);
    fd_close(&job->tree_fd);
    fd_close(&job->layer_fd);
    free(job);
    return NULL;
}

int layer_job_lower_is_whole(LayerJob *job, Failure *why)
{
    return unpack_lower_is_whole(job->unpack, why);
}

int layer_job_discard(ImageCommit *commit, const char *chain_id)
{
    return file_delete_tree_at(commit->layers_fd, hex_of(chain_id));
}

int layer_job_fd(const LayerJob *job)
{
    return unpack_fd(job->unpack);
}

/* What came out is what the configuration says, and its record makes the layer whole. */
static int conclude(const LayerJob *job, const Digest *found, Failure *why)
{
    Podmon__LayerRecord record = PODMON__LAYER_RECORD__INIT;
    char wanted[DIGEST_TEXT_SIZE], text[DIGEST_TEXT_SIZE];
    int r;

    digest_print(&job->diff_id, wanted);
    if (!digest_equal(found, &job->diff_id)) {
        digest_print(found, text);
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "its uncompressed archive has digest %s, but the configuration says %s",
                           text, wanted);
    }
    record.diff_id = wanted;
    record.parent = (char *)(uintptr_t)job->parent;
    r = file_measure_tree_at(job->layer_fd, PLACE_TREE, &record.bytes, &record.inodes);
    if (r == 0)
        r = record_write_at(job->layer_fd, PLACE_SIZE, &record.base, 0600, FILE_SYNC_NO);
    return r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot write down its size") : 1;
}

int layer_job_step(LayerJob *job, Failure *why)
{
    Digest found;
    int r = unpack_step(job->unpack, &found, why);

    return r <= 0 ? r : conclude(job, &found, why);
}

int layer_job_run(ImageCommit *commit, const LayerPlan *plan, Failure *why)
{
    LayerJob *job = NULL;
    Digest found;
    int r = layer_job_start(commit, plan, &job, why);

    if (r < 0 || !job)
        return r;
    r = unpack_wait(job->unpack, UNPACK_TIMEOUT_MS, &found, why);
    if (r == 0)
        r = conclude(job, &found, why);
    layer_job_free(job);
    return r < 0 ? r : 0;
}
