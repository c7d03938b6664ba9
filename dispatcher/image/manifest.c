/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/manifest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dispatcher/image/json.h"
#include "shared/cleanup.h"

#if defined(__x86_64__)
#define HOST_ARCHITECTURE "amd64"
#define HOST_VARIANTS ""
#elif defined(__aarch64__)
#define HOST_ARCHITECTURE "arm64"
#define HOST_VARIANTS "v8"
#elif defined(__arm__)
#define HOST_ARCHITECTURE "arm"
#define HOST_VARIANTS "v7 v6 v5"
#elif defined(__i386__)
#define HOST_ARCHITECTURE "386"
#define HOST_VARIANTS ""
#elif defined(__powerpc64__)
#define HOST_ARCHITECTURE "ppc64le"
#define HOST_VARIANTS ""
#elif defined(__s390x__)
#define HOST_ARCHITECTURE "s390x"
#define HOST_VARIANTS ""
#elif defined(__riscv)
#define HOST_ARCHITECTURE "riscv64"
#define HOST_VARIANTS ""
#else
#error "the OCI name of this architecture is not known here"
#endif

static const char *const layer_types[] = {
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
};

bool manifest_layer_is_known(const char *media_type)
{
    for (size_t i = 0; i < sizeof(layer_types) / sizeof(layer_types[0]); i++)
        if (strcmp(media_type, layer_types[i]) == 0)
            return true;
    return false;
}

static void descriptor_done(ImageDescriptor *descriptor)
{
    free(descriptor->media_type);
    free(descriptor->platform.os);
    free(descriptor->platform.architecture);
    free(descriptor->platform.variant);
    free(descriptor->name);
    free(descriptor->reference);
}

void manifest_done(Manifest *manifest)
{
    descriptor_done(&manifest->config);
    for (size_t i = 0; i < manifest->entries_count; i++)
        descriptor_done(&manifest->entries[i]);
    free(manifest->entries);
    for (size_t i = 0; i < manifest->annotations_count; i++)
        podmon__pair__free_unpacked(manifest->annotations[i], NULL);
    free(manifest->annotations);
    *manifest = (Manifest){0};
}

/* As json_copy_string, with "" for what is absent. */
static int copy_text(const cJSON *object, const char *name, char **ret, Failure *why)
{
    int r = json_copy_string(object, name, ret, why);

    if (r != 0)
        return r;
    *ret = strdup("");
    return *ret ? 0 : failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot read a manifest");
}

/* Fills `ret` member by member; the caller frees it also after a failure. */
static int parse_descriptor(const cJSON *object, ImageDescriptor *ret, Failure *why)
{
    const cJSON *platform = NULL, *annotations = NULL;
    const char *digest;
    int r;

    if (!cJSON_IsObject(object))
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "a descriptor is no object");
    r = json_get_string(object, "digest", &digest, why);
    if (r < 0)
        return r;
    if (!digest || digest_parse(digest, &ret->digest) < 0)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "\"%.200s\" is no digest",
                           digest ? digest : "");
    r = json_get_size(object, "size", &ret->size, why);
    if (r <= 0)
        return r < 0 ? r : failure_say(why, FAILURE_INVALID_ARGUMENT, "%s has no size", digest);

    if ((r = copy_text(object, "mediaType", &ret->media_type, why)) < 0 ||
        (r = json_get_object(object, "platform", &platform, why)) < 0 ||
        (r = copy_text(platform, "os", &ret->platform.os, why)) < 0 ||
        (r = copy_text(platform, "architecture", &ret->platform.architecture, why)) < 0 ||
        (r = copy_text(platform, "variant", &ret->platform.variant, why)) < 0 ||
        (r = json_get_object(object, "annotations", &annotations, why)) < 0 ||
        (r = copy_text(annotations, "io.containerd.image.name", &ret->name, why)) < 0 ||
        (r = copy_text(annotations, "org.opencontainers.image.ref.name", &ret->reference, why)) < 0)
        return r;
    return 0;
}

static int parse_entries(const cJSON *list, Manifest *ret, Failure *why)
{
    const cJSON *member;
    int count = cJSON_GetArraySize(list);

    if (count > MANIFEST_ENTRIES_MAX)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "%d entries, limit %d", count,
                           MANIFEST_ENTRIES_MAX);
    ret->entries = calloc((size_t)count + 1, sizeof(*ret->entries));
    if (!ret->entries)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot read a manifest");
    cJSON_ArrayForEach(member, list)
    {
        int r = parse_descriptor(member, &ret->entries[ret->entries_count++], why);

        if (r < 0)
            return r;
    }
    return 0;
}

static int parse_members(const cJSON *json, Manifest *ret, Failure *why)
{
    const cJSON *manifests, *layers, *config;
    uint64_t version = 0;
    int r;

    if (!cJSON_IsObject(json))
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "no object");
    if ((r = json_get_array(json, "manifests", &manifests, why)) < 0 ||
        (r = json_get_array(json, "layers", &layers, why)) < 0 ||
        (r = json_get_object(json, "config", &config, why)) < 0 ||
        (r = json_get_size(json, "schemaVersion", &version, why)) < 0)
        return r;
    if (version != 2)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "schemaVersion %u is not supported, only 2", (unsigned int)version);
    if (manifests && (layers || config))
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "both \"manifests\" and \"layers\" or \"config\": is it an index or a "
                           "manifest?");
    if (!manifests && (!layers || !config))
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "neither \"manifests\" nor \"config\" with \"layers\"");

    ret->is_index = manifests != NULL;
    if (config && (r = parse_descriptor(config, &ret->config, why)) < 0)
        return r;
    r = parse_entries(manifests ? manifests : layers, ret, why);
    if (r < 0)
        return r;
    return json_copy_pairs(json, "annotations", &ret->annotations_count, &ret->annotations, why);
}

int manifest_parse(const char *data, size_t size, Manifest *ret, Failure *why)
{
    CLEANUP(json_cleanup) cJSON *json = NULL;
    Manifest manifest = {0};
    int r = json_parse("manifest", data, size, MANIFEST_SIZE_MAX, &json, why);

    if (r < 0)
        return r;
    r = parse_members(json, &manifest, why);
    if (r < 0) {
        failure_prefix(why, "manifest");
        manifest_done(&manifest);
        return r;
    }
    *ret = manifest;
    return 0;
}

bool image_platform_fits(const char *os, const char *architecture)
{
    return (!os[0] || strcmp(os, "linux") == 0) &&
           (!architecture[0] || strcmp(architecture, HOST_ARCHITECTURE) == 0);
}

/* 0: does not run here; higher is better. */
static unsigned int platform_rank(const ImagePlatform *platform)
{
    static const char variants[] = HOST_VARIANTS;
    const char *found;

    if (!image_platform_fits(platform->os, platform->architecture))
        return 0;
    if (!platform->variant[0])
        return 1;
    found = strstr(variants, platform->variant);
    return found ? 1 + (unsigned int)strlen(found) : 0;
}

int manifest_choose(const Manifest *index, size_t *ret, Failure *why)
{
    unsigned int best = 0;

    for (size_t i = 0; i < index->entries_count; i++) {
        unsigned int rank = platform_rank(&index->entries[i].platform);

        if (rank > best) {
            best = rank;
            *ret = i;
        }
    }
    return best ? 0
                : failure_say(why, FAILURE_NOT_FOUND,
                              "none of the %zu manifests of the index is for linux/%s",
                              index->entries_count, HOST_ARCHITECTURE);
}
