/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dispatcher/image/blob.h"
#include "dispatcher/image/commit_part.h"
#include "dispatcher/image/layer_job.h"
#include "dispatcher/image/manifest.h"
#include "dispatcher/image/place.h"
#include "dispatcher/image/tree_compare.h"
#include "shared/cleanup.h"
#include "shared/text.h"

enum { READ_SIZE = 256 * 1024 };

typedef struct Check {
    ImagePlace place;
    ImageCommit *commit; /* where layers are unpacked again; nothing of it is published */
    CheckCount count;
    char **good; /* what has been looked at and is right: blobs' digests, layers' chain ids */
    char *buffer;
} Check;

static void check_done(Check *check)
{
    image_commit_free(check->commit);
    image_place_done(&check->place);
    text_list_free(check->good);
    free(check->buffer);
}

static bool is_known(const Check *check, const char *name)
{
    for (char *const *at = check->good; at && *at; at++)
        if (strcmp(*at, name) == 0)
            return true;
    return false;
}

static int check_blob(Check *check, const Digest *digest, uint64_t size, Failure *why)
{
    CLEANUP(digest_stream_cleanup) DigestStream *stream = NULL;
    char text[DIGEST_TEXT_SIZE];
    uint64_t found_size = 0;
    AUTO_CLOSE int fd = blob_open(check->place.blobs_fd, digest, &found_size);
    Digest found;
    ssize_t count;

    digest_print(digest, text);
    if (is_known(check, text))
        return 0;
    if (fd < 0)
        return failure_set(why, FAILURE_INTERNAL, -fd, "blob %s", text);
    if (size != BLOB_SIZE_UNKNOWN && found_size != size)
        return failure_say(why, FAILURE_INTERNAL, "blob %s has %llu bytes instead of %llu", text,
                           (unsigned long long)found_size, (unsigned long long)size);
    if (digest_stream_new(digest->algorithm, &stream) < 0)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "blob %s", text);
    while ((count = TEMP_FAILURE_RETRY(read(fd, check->buffer, READ_SIZE))) > 0)
        if (digest_stream_add(stream, check->buffer, (size_t)count) < 0)
            return failure_set(why, FAILURE_INTERNAL, EIO, "blob %s", text);
    if (count < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "blob %s", text);
    if (digest_stream_finish(stream, &found) < 0 || !digest_equal(&found, digest))
        return failure_say(why, FAILURE_INTERNAL, "blob %s has other bytes than it had", text);
    check->count.blobs++;
    return text_list_add(&check->good, text);
}

/* Unpacks the layer again into the commit, and compares. The blob has been found good. */
static int compare_layer(Check *check, const Podmon__ImageRecord *image, size_t position,
                         const Digest *blob, const Digest *diff_id, Failure *why)
{
    const char *hex = strchr(image->layers[position], ':') + 1;
    AUTO_CLOSE int archive_fd = blob_open(check->place.blobs_fd, blob, NULL), tree_fd = -1,
                   again_fd = -1;
    LayerPlan plan = {image->layers, position, diff_id, archive_fd, true};
    char path[DIGEST_HEX_SIZE + sizeof("/" PLACE_TREE)];
    int r;

    if (archive_fd < 0)
        return failure_set(why, FAILURE_INTERNAL, -archive_fd, "cannot open its blob");
    r = layer_job_run(check->commit, &plan, why);
    if (r == 0) {
        (void)snprintf(path, sizeof(path), "%s/" PLACE_TREE, hex);
        tree_fd =
            openat(check->place.layers_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        again_fd =
            openat(check->commit->layers_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        r = tree_fd < 0 || again_fd < 0
                ? failure_set(why, FAILURE_INTERNAL, errno, "cannot open its tree")
                : tree_compare(again_fd, tree_fd, why);
    }
    (void)layer_job_discard(check->commit, image->layers[position]);
    return r;
}

static int check_layer(Check *check, const Podmon__ImageRecord *image, size_t position,
                       const Digest *blob, Failure *why)
{
    const char *chain_id = image->layers[position];
    Podmon__LayerRecord *record;
    Digest digest, diff_id;
    int r;

    if (is_known(check, chain_id))
        return 0;
    if (digest_parse(chain_id, &digest) < 0)
        return failure_say(why, FAILURE_INTERNAL, "\"%.100s\" is no layer", chain_id);
    r = image_place_read_layer(check->place.layers_fd, strchr(chain_id, ':') + 1, &record);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "layer %s", chain_id);
    r = digest_parse(record->diff_id, &diff_id);
    podmon__layer_record__free_unpacked(record, NULL);
    r = r < 0 ? failure_say(why, FAILURE_INTERNAL, "its record names no archive")
              : compare_layer(check, image, position, blob, &diff_id, why);
    if (r < 0) {
        failure_prefix(why, "layer %s", chain_id);
        return r;
    }
    check->count.layers++;
    return text_list_add(&check->good, chain_id);
}

static int check_image(Check *check, const Podmon__ImageRecord *record, Failure *why)
{
    CLEANUP(manifest_done) Manifest manifest = {0};
    AUTO_FREE char *text = NULL;
    Digest digest;
    size_t size;
    int r;

    if (digest_parse(record->manifest, &digest) < 0)
        return failure_say(why, FAILURE_INTERNAL, "its record names no manifest");
    if ((r = blob_read(check->place.blobs_fd, &digest, MANIFEST_SIZE_MAX, &text, &size, why)) < 0 ||
        (r = manifest_parse(text, size, &manifest, why)) < 0 ||
        (r = check_blob(check, &manifest.config.digest, manifest.config.size, why)) < 0)
        return r;
    for (size_t i = 0; r == 0 && i < manifest.entries_count; i++)
        r = check_blob(check, &manifest.entries[i].digest, manifest.entries[i].size, why);
    if (r == 0 && record->n_layers != manifest.entries_count)
        return failure_say(why, FAILURE_INTERNAL, "its record has other layers than its manifest");
    for (size_t i = 0; r == 0 && i < record->n_layers; i++)
        r = check_layer(check, record, i, &manifest.entries[i].digest, why);
    return r;
}

int image_check(const char *root_dir, ImageStore *store, ImageCheckReport *report, void *data,
                CheckCount *ret, Failure *why)
{
    CLEANUP(check_done) Check check = {.place = {-1, -1, -1, -1, -1, NULL}};
    int r = image_place_open(root_dir, &check.place, why);

    if (r < 0)
        return r;
    r = image_commit_new(root_dir, &check.commit, why);
    if (r < 0)
        return r;
    check.buffer = malloc(READ_SIZE);
    if (!check.buffer)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot check the image store");
    image_store_sync(store);
    for (size_t i = 0; i < image_store_count(store); i++) {
        const Podmon__ImageRecord *record = image_store_get(store, i);
        Failure problem = {0};

        check.count.images++;
        if (check_image(&check, record, &problem) == 0)
            continue;
        /* No room to look is no damage. */
        if (problem.code == FAILURE_RESOURCE_EXHAUSTED) {
            *why = problem;
            return -ENOSPC;
        }
        check.count.damaged++;
        report(data, record->id, record->n_tags ? record->tags[0] : "", problem.text);
    }
    for (char *const *id = image_store_damaged(store); id && *id; id++) {
        char whole[DIGEST_TEXT_SIZE];

        check.count.images++;
        check.count.damaged++;
        (void)snprintf(whole, sizeof(whole), "sha256:%s", *id);
        report(data, whole, "", "its record cannot be read");
    }
    *ret = check.count;
    return 0;
}
