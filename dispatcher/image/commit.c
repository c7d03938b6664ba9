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
#include <sys/statvfs.h>
#include <unistd.h>

#include "dispatcher/image/blob.h"
#include "dispatcher/image/config.h"
#include "dispatcher/image/manifest.h"
#include "dispatcher/image/names.h"
#include "dispatcher/image/place.h"
#include "dispatcher/image/unpack.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/file.h"
#include "shared/record.h"

#define UNPACK_BYTES_MAX (UINT64_C(64) << 30)

enum {
    UNPACK_TIMEOUT_MS = 60 * 60 * 1000,
    LOCK_WAIT_MS = 60 * 1000,
    NAME_DIGITS = 16,
};

struct ImageCommit {
    ImagePlace place;
    char name[NAME_DIGITS + 1]; /* below staging/ */
    int dir_fd;                 /* of it; locked (flock) for as long as the commit lives */
    int blobs_fd, layers_fd;    /* blobs/ and layers/ in it */
    Podmon__ImageRecord **records;
    size_t records_count;
};

/* ---- the staging directory ---- */

/* Under the store's lock, so that garbage collection never sees it before it is locked. */
static int make_staging(ImageCommit *commit)
{
    AUTO_CLOSE int lock_fd = image_place_lock(&commit->place, PLACE_LOCK_WRITE, LOCK_WAIT_MS);
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
    commit->dir_fd = commit->blobs_fd = commit->layers_fd = -1;
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

int image_commit_has_blob(ImageCommit *commit, const Digest *digest)
{
    AUTO_CLOSE int from_fd = -1, to_fd = -1;
    char hex[DIGEST_HEX_SIZE];

    digest_print_hex(digest, hex);
    to_fd = image_place_open_blobs(commit->blobs_fd, digest->algorithm);
    if (to_fd < 0)
        return to_fd;
    if (faccessat(to_fd, hex, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return 1;
    from_fd = image_place_open_blobs(commit->place.blobs_fd, digest->algorithm);
    if (from_fd < 0)
        return from_fd;
    /* A second name of the same file keeps it, whatever garbage collection does to the first. */
    if (linkat(from_fd, hex, to_fd, hex, 0) == 0)
        return 1;
    return errno == ENOENT ? 0 : -errno;
}

/* ---- layers ---- */

/* In the commit: a directory being made, or an empty file for a layer that the store has. Either
 * name keeps garbage collection from that layer. 1: nothing to do, 0: to be made. */
static int claim_layer(ImageCommit *commit, const char *hex, Failure *why)
{
    AUTO_CLOSE int lock_fd = -1, note_fd = -1;
    Podmon__LayerRecord *record;
    int r;

    if (faccessat(commit->layers_fd, hex, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return 1;
    lock_fd = image_place_lock(&commit->place, PLACE_LOCK_WRITE, LOCK_WAIT_MS);
    if (lock_fd < 0)
        return failure_set(why, FAILURE_UNAVAILABLE, -lock_fd, "the image store is locked");
    r = image_place_read_layer(commit->place.layers_fd, hex, &record);
    if (r == 0) {
        podmon__layer_record__free_unpacked(record, NULL);
        note_fd = openat(commit->layers_fd, hex, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        return note_fd < 0 ? failure_set(why, FAILURE_INTERNAL, errno, "cannot claim a layer") : 1;
    }
    return 0;
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

/* The layer's trees below, highest first. The caller closes them. */
static int open_lower(const ImageCommit *commit, char *const *chain, size_t count, int *ret,
                      Failure *why)
{
    for (size_t i = 0; i < count; i++) {
        ret[i] = open_tree_of(commit, strchr(chain[count - 1 - i], ':') + 1);
        if (ret[i] < 0)
            return failure_set(why, FAILURE_INTERNAL, -ret[i], "cannot open layer %s",
                               chain[count - 1 - i]);
    }
    return 0;
}

static int run_unpacker(const ImageCommit *commit, const Digest *blob, int tree_fd,
                        char *const *chain, size_t below, Digest *ret_diff_id, Failure *why)
{
    AUTO_CLOSE int archive_fd = blob_open(commit->blobs_fd, blob, NULL);
    int lower_fds[IMAGE_LAYERS_MAX], r;
    UnpackPlan plan = {
        .tree_fd = tree_fd,
        .archive_fd = archive_fd,
        .lower_fds = lower_fds,
        .lower_fds_count = below,
        .limits = {.bytes = UNPACK_BYTES_MAX, .entries = LAYER_ENTRIES_MAX},
    };
    struct statvfs space;

    if (archive_fd < 0)
        return failure_set(why, FAILURE_INTERNAL, -archive_fd, "cannot open its archive");
    if (fstatvfs(tree_fd, &space) == 0 && (uint64_t)space.f_bavail < UINT64_MAX / space.f_frsize &&
        space.f_bavail * space.f_frsize < plan.limits.bytes)
        plan.limits.bytes = space.f_bavail * space.f_frsize;
    for (size_t i = 0; i < below; i++)
        lower_fds[i] = -1;
    r = open_lower(commit, chain, below, lower_fds, why);
    if (r == 0)
        r = unpack_run(&plan, UNPACK_TIMEOUT_MS, ret_diff_id, why);
    for (size_t i = 0; i < below; i++)
        fd_close(&lower_fds[i]);
    return r;
}

static int record_layer(int layer_fd, const Digest *diff_id, const char *parent, Failure *why)
{
    Podmon__LayerRecord record = PODMON__LAYER_RECORD__INIT;
    char text[DIGEST_TEXT_SIZE], below[DIGEST_TEXT_SIZE];
    int r = file_measure_tree_at(layer_fd, PLACE_TREE, &record.bytes, &record.inodes);

    digest_print(diff_id, text);
    (void)snprintf(below, sizeof(below), "%s", parent ? parent : "");
    record.diff_id = text;
    record.parent = below;
    if (r == 0)
        r = record_write_at(layer_fd, PLACE_SIZE, &record.base, 0600, FILE_SYNC_NO);
    return r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot write down its size") : 0;
}

/* Unpacks one layer into the commit. `chain` has the chain ids from the lowest to this one. */
static int make_layer(ImageCommit *commit, const Digest *blob, const Digest *diff_id,
                      char *const *chain, size_t position, Failure *why)
{
    const char *hex = strchr(chain[position], ':') + 1;
    AUTO_CLOSE int layer_fd = -1, tree_fd = -1;
    char wanted[DIGEST_TEXT_SIZE], text[DIGEST_TEXT_SIZE];
    Digest found;
    int r;

    layer_fd = file_open_directory_at(commit->layers_fd, hex, 0700);
    if (layer_fd < 0)
        return failure_set(why, FAILURE_INTERNAL, -layer_fd, "cannot make its directory");
    tree_fd = file_open_directory_at(layer_fd, PLACE_TREE, 0755);
    if (tree_fd < 0 || fchmod(tree_fd, 0755) < 0)
        return failure_set(why, FAILURE_INTERNAL, EIO, "cannot make its directory");
    r = run_unpacker(commit, blob, tree_fd, chain, position, &found, why);
    if (r < 0)
        return r;
    if (!digest_equal(&found, diff_id)) {
        digest_print(diff_id, wanted);
        digest_print(&found, text);
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "its uncompressed archive has digest %s, but the configuration says %s",
                           text, wanted);
    }
    return record_layer(layer_fd, diff_id, position > 0 ? chain[position - 1] : NULL, why);
}

static int add_layers(ImageCommit *commit, const Manifest *manifest, const ImageConfig *config,
                      Failure *why)
{
    Podmon__ImageRecord *record = config->record;
    Digest chain = {0};

    record->layers = calloc(config->diff_ids_count, sizeof(*record->layers));
    if (!record->layers)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot add an image");
    for (size_t i = 0; i < config->diff_ids_count; i++) {
        const Digest *blob = &manifest->entries[i].digest;
        char text[DIGEST_TEXT_SIZE];
        int r = digest_chain(i > 0 ? &chain : NULL, &config->diff_ids[i], &chain);

        if (r < 0)
            return failure_set(why, FAILURE_INTERNAL, -r, "cannot add an image");
        digest_print(&chain, text);
        record->layers[i] = strdup(text);
        if (!record->layers[i])
            return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot add an image");
        record->n_layers = i + 1;
        r = claim_layer(commit, strchr(text, ':') + 1, why);
        if (r == 0)
            r = make_layer(commit, blob, &config->diff_ids[i], record->layers, i, why);
        if (r < 0) {
            digest_print(blob, text);
            failure_prefix(why, "layer %s", text);
            return r;
        }
    }
    return 0;
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

/* ---- publishing ---- */

static int publish_blobs(const ImageCommit *commit, DigestAlgorithm algorithm)
{
    AUTO_CLOSE int from_fd = image_place_open_blobs(commit->blobs_fd, algorithm);
    AUTO_CLOSE int to_fd = image_place_open_blobs(commit->place.blobs_fd, algorithm);
    CLEANUP(image_names_cleanup) char **names = NULL;
    int r;

    if (from_fd < 0 || to_fd < 0)
        return from_fd < 0 ? from_fd : to_fd;
    r = image_names_list(from_fd, &names);
    for (size_t i = 0; r == 0 && names && names[i]; i++)
        if (renameat(from_fd, names[i], to_fd, names[i]) < 0)
            r = -errno;
    return r == 0 && fsync(to_fd) < 0 ? -errno : r;
}

static int publish_layer(const ImageCommit *commit, const char *hex)
{
    Podmon__LayerRecord *record;
    struct stat status;
    int r = image_place_read_layer(commit->place.layers_fd, hex, &record);

    if (r == 0) {
        podmon__layer_record__free_unpacked(record, NULL);
        return 0;
    }
    if (fstatat(commit->layers_fd, hex, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (!S_ISDIR(status.st_mode))
        return -EAGAIN;
    /* What is left of one whose removal was interrupted. */
    r = file_delete_tree_at(commit->place.layers_fd, hex);
    if (r < 0)
        return r;
    return renameat(commit->layers_fd, hex, commit->place.layers_fd, hex) < 0 ? -errno : 0;
}

static int publish_layers(const ImageCommit *commit)
{
    CLEANUP(image_names_cleanup) char **names = NULL;
    int r = image_names_list(commit->layers_fd, &names);

    for (size_t i = 0; r == 0 && names && names[i]; i++)
        r = publish_layer(commit, names[i]);
    return r == 0 && fsync(commit->place.layers_fd) < 0 ? -errno : r;
}

static int write_record(const ImageCommit *commit, const Podmon__ImageRecord *record)
{
    return record_write_at(commit->place.records_fd, strchr(record->id, ':') + 1, &record->base,
                           0600, FILE_SYNC_YES);
}

/* The image may be there already, under other names; they stay with it. */
static int publish_record(const ImageCommit *commit, Podmon__ImageRecord *record)
{
    ProtobufCMessage *message;
    int r = record_read_at(commit->place.records_fd, strchr(record->id, ':') + 1,
                           &podmon__image_record__descriptor, NULL, &message);

    if (r == 0) {
        Podmon__ImageRecord *old = (Podmon__ImageRecord *)message;

        r = image_names_merge(&record->n_tags, &record->tags, old->n_tags, old->tags);
        if (r == 0)
            r = image_names_merge(&record->n_digests, &record->digests, old->n_digests,
                                  old->digests);
        podmon__image_record__free_unpacked(old, NULL);
    } else if (r == -ENOENT || r == -EBADMSG) {
        r = 0;
    }
    return r < 0 ? r : write_record(commit, record);
}

/* After the new record is there: between the two the name is with both, and the younger counts. */
static int take_names(const ImageCommit *commit, const Podmon__ImageRecord *record)
{
    CLEANUP(image_names_cleanup) char **files = NULL;
    int r = image_names_list(commit->place.records_fd, &files);

    for (size_t i = 0; r == 0 && files && files[i]; i++) {
        ProtobufCMessage *message;
        Podmon__ImageRecord *other;

        if (strcmp(files[i], strchr(record->id, ':') + 1) == 0 ||
            record_read_at(commit->place.records_fd, files[i], &podmon__image_record__descriptor,
                           NULL, &message) < 0)
            continue;
        other = (Podmon__ImageRecord *)message;
        if (image_names_remove(&other->n_tags, other->tags, record->n_tags, record->tags))
            r = write_record(commit, other);
        podmon__image_record__free_unpacked(other, NULL);
    }
    return r;
}

int image_commit_publish(ImageCommit *commit, Failure *why)
{
    AUTO_CLOSE int lock_fd = -1;
    int r;

    if (syncfs(commit->dir_fd) < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot write the image to the disk");
    lock_fd = image_place_lock(&commit->place, PLACE_LOCK_WRITE, LOCK_WAIT_MS);
    if (lock_fd < 0)
        return failure_set(why, FAILURE_UNAVAILABLE, -lock_fd, "the image store is locked");
    r = publish_layers(commit);
    if (r == -EAGAIN)
        return failure_set(why, FAILURE_ABORTED, EAGAIN,
                           "a layer of the image was removed meanwhile");
    if (r < 0 || (r = publish_blobs(commit, DIGEST_SHA256)) < 0 ||
        (r = publish_blobs(commit, DIGEST_SHA512)) < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot publish the image");
    for (size_t i = 0; i < commit->records_count; i++)
        if ((r = publish_record(commit, commit->records[i])) < 0 ||
            (r = take_names(commit, commit->records[i])) < 0)
            return failure_set(why, FAILURE_INTERNAL, -r, "cannot publish the image");
    return 0;
}
