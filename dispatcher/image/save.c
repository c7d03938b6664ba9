/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/save.h"

#include <archive.h>
#include <archive_entry.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dispatcher/image/blob.h"
#include "dispatcher/image/config.h"
#include "dispatcher/image/json.h"
#include "dispatcher/image/manifest.h"
#include "dispatcher/image/place.h"
#include "shared/cleanup.h"

#define MANIFEST_TYPE "application/vnd.oci.image.manifest.v1+json"
#define INDEX_TYPE "application/vnd.oci.image.index.v1+json"

enum { COPY_SIZE = 256 * 1024 };

typedef struct Save {
    ImagePlace place;
    struct archive *tar;
    Manifest manifest;
    Digest digest; /* of the manifest */
    char *text;    /* of it */
    size_t size;
} Save;

static void save_done(Save *save)
{
    image_place_done(&save->place);
    archive_write_free(save->tar);
    manifest_done(&save->manifest);
    free(save->text);
}

static void json_text_free(char **text)
{
    cJSON_free(*text);
}

/* ---- the archive ---- */

static int failed(const Save *save, Failure *why)
{
    int error = archive_errno(save->tar);

    return failure_set(why, FAILURE_INTERNAL, error > 0 ? error : EIO, "cannot write the archive");
}

static int begin_entry(Save *save, const char *path, uint64_t size, Failure *why)
{
    struct archive_entry *entry = archive_entry_new();
    int status;

    if (!entry)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot write the archive");
    archive_entry_set_pathname(entry, path);
    archive_entry_set_size(entry, (la_int64_t)size);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_mtime(entry, 0, 0);
    status = archive_write_header(save->tar, entry);
    archive_entry_free(entry);
    return status == ARCHIVE_OK ? 0 : failed(save, why);
}

static int add_bytes(Save *save, const void *data, size_t size, Failure *why)
{
    return archive_write_data(save->tar, data, size) == (la_ssize_t)size ? 0 : failed(save, why);
}

static int add_document(Save *save, const char *path, const char *text, size_t size, Failure *why)
{
    int r = begin_entry(save, path, size, why);

    return r < 0 ? r : add_bytes(save, text, size, why);
}

static void blob_path(const Digest *digest, char ret[DIGEST_TEXT_SIZE + 8])
{
    char hex[DIGEST_HEX_SIZE];

    digest_print_hex(digest, hex);
    (void)snprintf(ret, DIGEST_TEXT_SIZE + 8, "blobs/%s/%s",
                   digest_algorithm_name(digest->algorithm), hex);
}

static int copy_blob(Save *save, int fd, DigestStream *stream, Failure *why)
{
    AUTO_FREE char *buffer = malloc(COPY_SIZE);
    ssize_t count;
    int r = buffer ? 0 : failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot copy");

    while (r == 0 && (count = TEMP_FAILURE_RETRY(read(fd, buffer, COPY_SIZE))) != 0) {
        if (count < 0 || digest_stream_add(stream, buffer, (size_t)count) < 0)
            return failure_set(why, FAILURE_INTERNAL, count < 0 ? errno : EIO, "cannot read");
        r = add_bytes(save, buffer, (size_t)count, why);
    }
    return r;
}

/* Hashed again: what is saved is what was pulled, or nothing is. */
static int add_blob(Save *save, const Digest *digest, Failure *why)
{
    CLEANUP(digest_stream_cleanup) DigestStream *stream = NULL;
    char path[DIGEST_TEXT_SIZE + 8];
    uint64_t size = 0;
    AUTO_CLOSE int fd = blob_open(save->place.blobs_fd, digest, &size);
    Digest found;
    int r;

    blob_path(digest, path);
    if (fd < 0)
        return failure_set(why, FAILURE_INTERNAL, -fd, "cannot open %s", path);
    r = digest_stream_new(digest->algorithm, &stream);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot hash");
    if ((r = begin_entry(save, path, size, why)) < 0 || (r = copy_blob(save, fd, stream, why)) < 0)
        return r;
    if (digest_stream_finish(stream, &found) < 0 || !digest_equal(&found, digest))
        return failure_set(why, FAILURE_INTERNAL, EBADMSG, "%s on the disk", path);
    return 0;
}

/* The same blob may be several layers. */
static int add_blobs(Save *save, Failure *why)
{
    const Manifest *manifest = &save->manifest;
    int r = add_blob(save, &save->digest, why);

    if (r == 0)
        r = add_blob(save, &manifest->config.digest, why);
    for (size_t i = 0; r == 0 && i < manifest->entries_count; i++) {
        size_t before = 0;

        while (!digest_equal(&manifest->entries[before].digest, &manifest->entries[i].digest))
            before++;
        if (before == i)
            r = add_blob(save, &manifest->entries[i].digest, why);
    }
    return r;
}

/* ---- its documents ---- */

/* One entry for each name, or one without. */
static int fill_index(const Save *save, const Podmon__ImageRecord *record, const char *type,
                      cJSON *manifests)
{
    char digest[DIGEST_TEXT_SIZE];
    size_t count = record->n_tags ? record->n_tags : 1;

    digest_print(&save->digest, digest);
    for (size_t i = 0; i < count; i++) {
        cJSON *entry = cJSON_CreateObject(), *annotations;

        if (!entry || !cJSON_AddItemToArray(manifests, entry) ||
            !cJSON_AddStringToObject(entry, "mediaType", type) ||
            !cJSON_AddStringToObject(entry, "digest", digest) ||
            !cJSON_AddNumberToObject(entry, "size", (double)save->size))
            return -ENOMEM;
        if (record->n_tags == 0)
            break;
        annotations = cJSON_AddObjectToObject(entry, "annotations");
        if (!annotations ||
            !cJSON_AddStringToObject(annotations, "io.containerd.image.name", record->tags[i]) ||
            !cJSON_AddStringToObject(annotations, "org.opencontainers.image.ref.name",
                                     strrchr(record->tags[i], ':') + 1))
            return -ENOMEM;
    }
    return 0;
}

static int add_index(Save *save, const Podmon__ImageRecord *record, Failure *why)
{
    CLEANUP(json_cleanup) cJSON *manifest = NULL, *index = cJSON_CreateObject();
    CLEANUP(json_text_free) char *text = NULL;
    const char *type = NULL;
    cJSON *manifests;
    int r = json_parse("manifest", save->text, save->size, MANIFEST_SIZE_MAX, &manifest, why);

    if (r < 0 || (r = json_get_string(manifest, "mediaType", &type, why)) < 0)
        return r;
    if (index && cJSON_AddNumberToObject(index, "schemaVersion", 2) &&
        cJSON_AddStringToObject(index, "mediaType", INDEX_TYPE) &&
        (manifests = cJSON_AddArrayToObject(index, "manifests")) &&
        fill_index(save, record, type ? type : MANIFEST_TYPE, manifests) == 0)
        text = cJSON_PrintUnformatted(index);
    if (!text)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot write index.json");
    return add_document(save, "index.json", text, strlen(text), why);
}

/* What docker load reads. */
static int add_saved(Save *save, const Podmon__ImageRecord *record, Failure *why)
{
    CLEANUP(json_cleanup) cJSON *list = cJSON_CreateArray();
    CLEANUP(json_text_free) char *text = NULL;
    cJSON *image = cJSON_CreateObject(), *tags, *layers;
    char path[DIGEST_TEXT_SIZE + 8];
    bool good = list && image && cJSON_AddItemToArray(list, image);

    blob_path(&save->manifest.config.digest, path);
    good = good && cJSON_AddStringToObject(image, "Config", path) &&
           (tags = cJSON_AddArrayToObject(image, "RepoTags"));
    for (size_t i = 0; good && i < record->n_tags; i++)
        good = cJSON_AddItemToArray(tags, cJSON_CreateString(record->tags[i]));
    good = good && (layers = cJSON_AddArrayToObject(image, "Layers"));
    for (size_t i = 0; good && i < save->manifest.entries_count; i++) {
        blob_path(&save->manifest.entries[i].digest, path);
        good = cJSON_AddItemToArray(layers, cJSON_CreateString(path));
    }
    text = good ? cJSON_PrintUnformatted(list) : NULL;
    if (!text)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot write manifest.json");
    return add_document(save, "manifest.json", text, strlen(text), why);
}

static int write_all(Save *save, const Podmon__ImageRecord *record, int fd, Failure *why)
{
    static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
    int r;

    save->tar = archive_write_new();
    if (!save->tar || archive_write_set_format_pax_restricted(save->tar) != ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(save->tar, 1) != ARCHIVE_OK ||
        archive_write_open_fd(save->tar, fd) != ARCHIVE_OK)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot write the archive");
    if ((r = add_document(save, "oci-layout", layout, strlen(layout), why)) < 0 ||
        (r = add_index(save, record, why)) < 0 || (r = add_saved(save, record, why)) < 0 ||
        (r = add_blobs(save, why)) < 0)
        return r;
    return archive_write_close(save->tar) == ARCHIVE_OK ? 0 : failed(save, why);
}

int image_save(const char *root_dir, ImageStore *store, const char *name, int fd, Failure *why)
{
    CLEANUP(save_done) Save save = {.place = {-1, -1, -1, -1, -1, NULL}};
    AUTO_CLOSE int hold_fd = image_store_hold(store);
    const Podmon__ImageRecord *record;
    int r;

    if (hold_fd < 0)
        return failure_set(why, FAILURE_UNAVAILABLE, -hold_fd, "the image store is in use");
    image_store_sync(store);
    r = image_store_find(store, name, &record);
    if (r < 0)
        return failure_set(why, r == -EINVAL ? FAILURE_INVALID_ARGUMENT : FAILURE_NOT_FOUND, -r,
                           "there is no image \"%.300s\"", name);
    if ((r = image_place_open(root_dir, &save.place, why)) < 0)
        return r;
    if (digest_parse(record->manifest, &save.digest) < 0)
        return failure_say(why, FAILURE_INTERNAL, "its record names no manifest");
    if ((r = blob_read(save.place.blobs_fd, &save.digest, MANIFEST_SIZE_MAX, &save.text, &save.size,
                       why)) < 0 ||
        (r = manifest_parse(save.text, save.size, &save.manifest, why)) < 0)
        return r;
    return write_all(&save, record, fd, why);
}
