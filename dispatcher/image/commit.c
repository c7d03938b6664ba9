/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/commit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dispatcher/image/blob.h"
#include "dispatcher/image/commit_part.h"
#include "dispatcher/image/config.h"
#include "dispatcher/image/layer_job.h"
#include "dispatcher/image/manifest.h"
#include "dispatcher/image/names.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/file.h"

/* ---- the staging directory ---- */

/* Under the store's lock, so that garbage collection never sees it before it is locked. */
static int make_staging(ImageCommit *commit)
{
    AUTO_CLOSE int lock_fd =
        image_place_lock(&commit->place, PLACE_LOCK_WRITE, COMMIT_LOCK_WAIT_MS);
    uint64_t random;

    if (lock_fd < 0)
        return lock_fd;
    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        return -EIO;
    (void)snprintf(commit->name, sizeof(commit->name), "%016llx", (unsigned long long)random);
    if (mkdirat(commit->place.staging_fd, commit->name, 0700) < 0)
        return -errno;
    commit->dir_fd = openat(commit->place.staging_fd, commit->name,
                            O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (commit->dir_fd < 0 || flock(commit->dir_fd, LOCK_EX | LOCK_NB) < 0)
        return -errno;
    commit->blobs_fd = file_open_directory_at(commit->dir_fd, "blobs", 0700);
    commit->layers_fd = file_open_directory_at(commit->dir_fd, "layers", 0700);
    return commit->blobs_fd < 0 ? commit->blobs_fd : commit->layers_fd < 0 ? commit->layers_fd : 0;
}

int image_commit_new(const char *root_dir, ImageCommit **ret, Failure *why)
{
    CLEANUP(image_commit_cleanup) ImageCommit *commit = calloc(1, sizeof(*commit));
    int r;

    if (!commit)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot open the image store");
    commit->place = (ImagePlace){-1, -1, -1, -1, -1, NULL};
    commit->dir_fd = commit->blobs_fd = commit->layers_fd = commit->claims_fd = -1;
    r = image_place_open(root_dir, &commit->place, why);
    if (r < 0)
        return r;
    r = make_staging(commit);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot make a directory in %s/staging",
                           commit->place.path);
    *ret = TAKE(commit);
    return 0;
}

ImageCommit *image_commit_free(ImageCommit *commit)
{
    if (!commit)
        return NULL;
    for (size_t i = 0; i < commit->records_count; i++)
        podmon__image_record__free_unpacked(commit->records[i], NULL);
    free(commit->records);
    if (commit->name[0])
        (void)file_delete_tree_at(commit->place.staging_fd, commit->name);
    fd_close(&commit->blobs_fd);
    fd_close(&commit->layers_fd);
    fd_close(&commit->dir_fd);
    fd_close(&commit->claims_fd);
    image_place_done(&commit->place);
    free(commit);
    return NULL;
}

int image_commit_blobs_fd(const ImageCommit *commit)
{
    return commit->blobs_fd;
}

int image_commit_dir_fd(const ImageCommit *commit)
{
    return commit->dir_fd;
}

/* ---- images ---- */

/* Every blob that the manifest names must be in the commit with the size it says. */
static int check_blobs(ImageCommit *commit, const Manifest *manifest, uint64_t *ret_size,
                       Failure *why)
{
    uint64_t total = 0;

    for (size_t i = 0; i <= manifest->entries_count; i++) {
        const ImageDescriptor *descriptor =
            i < manifest->entries_count ? &manifest->entries[i] : &manifest->config;
        uint64_t size = 0;
        AUTO_CLOSE int fd = blob_open(commit->blobs_fd, &descriptor->digest, &size);
        char text[DIGEST_TEXT_SIZE];

        digest_print(&descriptor->digest, text);
        if (fd < 0)
            return failure_set(why, FAILURE_INVALID_ARGUMENT, -fd, "blob %s is missing", text);
        if (size != descriptor->size)
            return failure_say(why, FAILURE_INVALID_ARGUMENT,
                               "blob %s has %llu bytes, the manifest says %llu", text,
                               (unsigned long long)size, (unsigned long long)descriptor->size);
        if (i < manifest->entries_count && !manifest_layer_is_known(descriptor->media_type))
            return failure_say(why, FAILURE_INVALID_ARGUMENT,
                               "layer %s is of type \"%.200s\", which is not supported", text,
                               descriptor->media_type);
        total += size;
    }
    *ret_size = total;
    return 0;
}

/* Unpacks those layers from their blobs that are neither in the store nor in the commit. */
static int add_layers(ImageCommit *commit, const Manifest *manifest, const ImageConfig *config,
                      Failure *why)
{
    char *const *chain = config->record->layers;

    for (size_t i = 0; i < config->diff_ids_count; i++) {
        const Digest *blob = &manifest->entries[i].digest;
        char text[DIGEST_TEXT_SIZE];
        int r = layer_job_claim(commit, chain[i], why);

        if (r == 0) {
            AUTO_CLOSE int archive_fd = blob_open(commit->blobs_fd, blob, NULL);
            LayerPlan plan = {chain, i, &config->diff_ids[i], archive_fd, true};

            r = archive_fd < 0
                    ? failure_set(why, FAILURE_INTERNAL, -archive_fd, "cannot open its archive")
                    : layer_job_run(commit, &plan, why);
        }
        if (r < 0) {
            digest_print(blob, text);
            failure_prefix(why, "layer %s", text);
            return r;
        }
    }
    return 0;
}

static int set_text(char **field, const Digest *digest)
{
    char text[DIGEST_TEXT_SIZE], *copy;

    digest_print(digest, text);
    copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    *field = copy;
    return 0;
}

/* Moves the annotations, and copies the rest. */
static int fill_record(Podmon__ImageRecord *record, Manifest *manifest, const Digest *digest,
                       char *const *tags, char *const *digests)
{
    int r;

    record->n_annotations = manifest->annotations_count;
    record->annotations = TAKE(manifest->annotations);
    manifest->annotations_count = 0;
    record->stored_at = clock_real();
    if ((r = set_text(&record->id, &manifest->config.digest)) < 0 ||
        (r = set_text(&record->manifest, digest)) < 0 ||
        (r = image_names_add(&record->n_tags, &record->tags, tags)) < 0 ||
        (r = image_names_add(&record->n_digests, &record->digests, digests)) < 0)
        return r;
    return 0;
}

static int keep_record(ImageCommit *commit, Podmon__ImageRecord *record)
{
    Podmon__ImageRecord **more =
        realloc(commit->records, (commit->records_count + 1) * sizeof(Podmon__ImageRecord *));

    if (!more)
        return -ENOMEM;
    commit->records = more;
    commit->records[commit->records_count++] = record;
    return 0;
}

int image_commit_add(ImageCommit *commit, const Digest *digest, char *const *tags,
                     char *const *digests, const Podmon__ImageRecord **ret, Failure *why)
{
    CLEANUP(manifest_done) Manifest manifest = {0};
    CLEANUP(image_config_done) ImageConfig config = {0};
    AUTO_FREE char *manifest_text = NULL, *config_text = NULL;
    size_t manifest_size, config_size;
    int r;

    if ((r = blob_read(commit->blobs_fd, digest, MANIFEST_SIZE_MAX, &manifest_text, &manifest_size,
                       why)) < 0 ||
        (r = manifest_parse(manifest_text, manifest_size, &manifest, why)) < 0)
        return r;
    if (manifest.is_index)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "an index in place of a manifest");
    if (manifest.config.digest.algorithm != DIGEST_SHA256)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "the configuration's digest is no sha256");
    if ((r = blob_read(commit->blobs_fd, &manifest.config.digest, IMAGE_CONFIG_SIZE_MAX,
                       &config_text, &config_size, why)) < 0 ||
        (r = image_config_parse(config_text, config_size, &config, why)) < 0)
        return r;
    if (config.diff_ids_count != manifest.entries_count)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "the manifest has %zu layers, the configuration %zu",
                           manifest.entries_count, config.diff_ids_count);
    if ((r = check_blobs(commit, &manifest, &config.record->size, why)) < 0 ||
        (r = add_layers(commit, &manifest, &config, why)) < 0)
        return r;
    config.record->size += manifest_size;
    r = fill_record(config.record, &manifest, digest, tags, digests);
    if (r == 0)
        r = keep_record(commit, config.record);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot add an image");
    *ret = TAKE(config.record);
    return 0;
}
