/* SPDX-License-Identifier: Apache-2.0 */
/* The last step of a commit: blobs, layers, then records move to their places. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dispatcher/image/commit_part.h"
#include "dispatcher/image/names.h"
#include "shared/cleanup.h"
#include "shared/file.h"
#include "shared/record.h"

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
    lock_fd = image_place_lock(&commit->place, PLACE_LOCK_WRITE, COMMIT_LOCK_WAIT_MS);
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
