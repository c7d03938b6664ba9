/* SPDX-License-Identifier: Apache-2.0 */
/* Archives of docker save: manifest.json lists images with the paths of their configuration and
 * layers. They have no manifest of their own, so one is made, always the same for the same image.
 */
#include "dispatcher/image/loading.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dispatcher/image/blob.h"
#include "dispatcher/image/config.h"
#include "dispatcher/image/json.h"
#include "dispatcher/image/manifest.h"
#include "shared/cleanup.h"
#include "shared/text.h"

#define CONFIG_TYPE "application/vnd.oci.image.config.v1+json"
#define LAYER_TYPE "application/vnd.oci.image.layer.v1.tar" /* what is inside tells the rest */

static int copy_file(Loading *loading, const char *path, uint64_t limit, Digest *ret,
                     uint64_t *ret_size, Failure *why)
{
    AUTO_CLOSE int fd = loading_open(loading, path);
    int r;

    if (fd < 0)
        return failure_set(why, FAILURE_INVALID_ARGUMENT, -fd, "cannot open \"%.300s\"", path);
    r = blob_store(image_commit_blobs_fd(loading->commit), fd, NULL, BLOB_SIZE_UNKNOWN, ret,
                   ret_size, why);
    if (r == 0 && *ret_size > limit)
        r = failure_set(why, FAILURE_INVALID_ARGUMENT, EFBIG, "%llu bytes",
                        (unsigned long long)*ret_size);
    if (r < 0)
        failure_prefix(why, "%.300s", path);
    return r;
}

static int print_descriptor(Text *text, const char *type, const Digest *digest, uint64_t size)
{
    char name[DIGEST_TEXT_SIZE];

    digest_print(digest, name);
    return text_print(text, "{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%llu}", type, name,
                      (unsigned long long)size);
}

/* Copies the files and writes the manifest that goes with them. */
static int copy_files(Loading *loading, const char *config, const cJSON *layers, Text *text,
                      Failure *why)
{
    Digest digest = {0};
    uint64_t size = 0;
    const cJSON *layer;
    int r = copy_file(loading, config, IMAGE_CONFIG_SIZE_MAX, &digest, &size, why);

    if (r < 0)
        return r;
    r = text_add(text,
                 "{\"schemaVersion\":2,\"mediaType\":\"application/"
                 "vnd.oci.image.manifest.v1+json\",\"config\":");
    if (r == 0)
        r = print_descriptor(text, CONFIG_TYPE, &digest, size);
    if (r == 0)
        r = text_add(text, ",\"layers\":[");
    cJSON_ArrayForEach(layer, layers)
    {
        if (r < 0)
            break;
        if (!cJSON_IsString(layer))
            return failure_say(why, FAILURE_INVALID_ARGUMENT, "\"Layers\" is no list of paths");
        r = copy_file(loading, layer->valuestring, BLOB_SIZE_UNKNOWN, &digest, &size, why);
        if (r < 0)
            return r;
        if (layer != layers->child)
            r = text_add(text, ",");
        if (r == 0)
            r = print_descriptor(text, LAYER_TYPE, &digest, size);
    }
    if (r == 0)
        r = text_add(text, "]}");
    return r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot make a manifest") : 0;
}

static int add_image(Loading *loading, const cJSON *entry, Failure *why)
{
    CLEANUP(text_done) Text text = {0};
    CLEANUP(text_list_cleanup) char **names = NULL;
    const cJSON *layers, *tags, *tag;
    const char *config;
    Digest manifest;
    int r;

    if (!cJSON_IsObject(entry))
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "an image is no object");
    if ((r = json_get_string(entry, "Config", &config, why)) < 0 ||
        (r = json_get_array(entry, "Layers", &layers, why)) < 0 ||
        (r = json_get_array(entry, "RepoTags", &tags, why)) < 0)
        return r;
    if (!config || !layers)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "an image without Config or Layers");
    cJSON_ArrayForEach(tag, tags)
    {
        if (!cJSON_IsString(tag))
            return failure_say(why, FAILURE_INVALID_ARGUMENT, "\"RepoTags\" is no list of names");
        if (text_list_add(&names, tag->valuestring) < 0)
            return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot name an image");
    }
    r = copy_files(loading, config, layers, &text, why);
    if (r < 0)
        return r;
    r = blob_store_bytes(image_commit_blobs_fd(loading->commit), text.data, text.size, &manifest,
                         why);
    return r < 0 ? r : loading_add(loading, &manifest, &manifest, names, why);
}

int loading_add_saved(Loading *loading, Failure *why)
{
    CLEANUP(json_cleanup) cJSON *json = NULL;
    AUTO_FREE char *text = NULL;
    const cJSON *entry;
    size_t size;
    int r = loading_read(loading, "manifest.json", MANIFEST_SIZE_MAX, &text, &size, why);

    if (r == 0)
        r = json_parse("manifest.json", text, size, MANIFEST_SIZE_MAX, &json, why);
    if (r < 0)
        return r;
    if (!json || !cJSON_IsArray(json) || !json->child)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "manifest.json is no list of images");
    cJSON_ArrayForEach(entry, json)
    {
        r = add_image(loading, entry, why);
        if (r < 0) {
            failure_prefix(why, "manifest.json");
            return r;
        }
    }
    return 0;
}
