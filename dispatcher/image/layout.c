/* SPDX-License-Identifier: Apache-2.0 */
/* OCI image layouts: index.json names manifests (or indexes of manifests) by digest, blobs/ has
 * them. */
#include "dispatcher/image/loading.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatcher/image/blob.h"
#include "dispatcher/image/manifest.h"
#include "shared/cleanup.h"

static int copy_blob(Loading *loading, const ImageDescriptor *descriptor, Failure *why)
{
    char path[DIGEST_TEXT_SIZE + 8], hex[DIGEST_HEX_SIZE];
    AUTO_CLOSE int fd = -1;

    digest_print_hex(&descriptor->digest, hex);
    (void)snprintf(path, sizeof(path), "blobs/%s/%s",
                   digest_algorithm_name(descriptor->digest.algorithm), hex);
    fd = loading_open(loading, path);
    if (fd < 0)
        return failure_set(why, FAILURE_INVALID_ARGUMENT, -fd, "cannot open %s", path);
    return blob_store(image_commit_blobs_fd(loading->commit), fd, &descriptor->digest,
                      descriptor->size, NULL, NULL, why);
}

static int read_manifest(Loading *loading, const ImageDescriptor *descriptor, Manifest *ret,
                         Failure *why)
{
    AUTO_FREE char *text = NULL;
    size_t size;
    int r;

    if (descriptor->size > MANIFEST_SIZE_MAX)
        return failure_set(why, FAILURE_INVALID_ARGUMENT, EFBIG, "a manifest of %llu bytes",
                           (unsigned long long)descriptor->size);
    if ((r = copy_blob(loading, descriptor, why)) < 0 ||
        (r = blob_read(image_commit_blobs_fd(loading->commit), &descriptor->digest,
                       MANIFEST_SIZE_MAX, &text, &size, why)) < 0)
        return r;
    return manifest_parse(text, size, ret, why);
}

/* Follows indexes to this machine's manifest and copies what it names. */
static int copy_image(Loading *loading, const ImageDescriptor *descriptor, Digest *ret,
                      Failure *why)
{
    CLEANUP(manifest_done) Manifest manifest = {0};
    int r = read_manifest(loading, descriptor, &manifest, why);

    *ret = descriptor->digest;
    for (int depth = 0; r == 0 && manifest.is_index; depth++) {
        Manifest inner;
        size_t chosen;

        if (depth == MANIFEST_NESTING_MAX)
            return failure_say(why, FAILURE_INVALID_ARGUMENT, "indexes more than %d deep",
                               MANIFEST_NESTING_MAX);
        r = manifest_choose(&manifest, &chosen, why);
        if (r < 0)
            return r;
        *ret = manifest.entries[chosen].digest;
        r = read_manifest(loading, &manifest.entries[chosen], &inner, why);
        if (r < 0)
            return r;
        manifest_done(&manifest);
        manifest = inner;
    }
    if (r == 0)
        r = copy_blob(loading, &manifest.config, why);
    for (size_t i = 0; r == 0 && i < manifest.entries_count; i++)
        r = copy_blob(loading, &manifest.entries[i], why);
    return r;
}

/* containerd's annotation is a whole name. The specification's is one, or just a tag, which names
 * nothing by itself. */
static char *name_of(const ImageDescriptor *descriptor)
{
    if (descriptor->name[0])
        return descriptor->name;
    return strpbrk(descriptor->reference, "/:@") ? descriptor->reference : NULL;
}

static int add_entry(Loading *loading, const ImageDescriptor *descriptor, Failure *why)
{
    char *names[] = {name_of(descriptor), NULL};
    char text[DIGEST_TEXT_SIZE];
    Digest manifest;
    int r = copy_image(loading, descriptor, &manifest, why);

    if (r == 0)
        r = loading_add(loading, &manifest, &descriptor->digest, names, why);
    if (r < 0) {
        digest_print(&descriptor->digest, text);
        failure_prefix(why, "image %s", names[0] ? names[0] : text);
    }
    return r;
}

int loading_add_layout(Loading *loading, Failure *why)
{
    CLEANUP(manifest_done) Manifest index = {0};
    AUTO_FREE char *text = NULL;
    size_t size, fitting = 0;
    int r = loading_read(loading, "index.json", MANIFEST_SIZE_MAX, &text, &size, why);

    if (r < 0)
        return r;
    r = manifest_parse(text, size, &index, why);
    if (r < 0) {
        failure_prefix(why, "index.json");
        return r;
    }
    if (!index.is_index)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "index.json is a manifest, no index");
    for (size_t i = 0; r == 0 && i < index.entries_count; i++) {
        const ImagePlatform *platform = &index.entries[i].platform;

        if (!image_platform_fits(platform->os, platform->architecture))
            continue;
        fitting++;
        r = add_entry(loading, &index.entries[i], why);
    }
    if (r == 0 && fitting == 0)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "index.json has no image for this machine");
    return r;
}
