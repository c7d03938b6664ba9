/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdbool.h>

#include "dispatcher/config.h"
#include "dispatcher/cri/forward.h"
#include "dispatcher/cri/handlers.h"
#include "dispatcher/cri/info.h"
#include "dispatcher/cri/map.h"
#include "dispatcher/cri/pieces.h"
#include "dispatcher/cri/raise.h"
#include "dispatcher/image/store.h"
#include "dispatcher/pods/index.h"
#include "runtime_v1.pb-c.h"
#include "shared/cleanup.h"
#include "shared/clock.h"

/* 0, −ENOENT with NOT_FOUND, or INVALID_ARGUMENT. */
static int find_image(CriCall *call, const Runtime__V1__ImageSpec *spec,
                      const Podmon__ImageRecord **ret, Failure *why)
{
    ImageStore *store = cri_call_node(call)->images;
    const char *name = spec ? spec->image : "";
    int r;

    if (!*name) {
        (void)failure_say(why, FAILURE_INVALID_ARGUMENT, "image.image: must not be empty");
        return -EINVAL;
    }
    image_store_sync(store);
    r = image_store_find(store, name, ret);
    if (r >= 0)
        return 0;
    if (r == -ENOENT)
        (void)failure_say(why, FAILURE_NOT_FOUND, "image.image: \"%.200s\" is not in the store",
                          name);
    else
        (void)failure_say(why, FAILURE_INVALID_ARGUMENT,
                          "image.image: \"%.200s\" is not a reference to an image", name);
    return r;
}

static bool is_pinned(const Node *node, const Podmon__ImageRecord *image)
{
    const Podmon__ImageRecord *pinned;

    for (char **name = node->config->pinned; name && *name; name++)
        if (image_store_find(node->images, *name, &pinned) >= 0 && pinned == image)
            return true;
    return false;
}

/* Those that the filter (may be NULL) names. */
static int collect_images(CriCall *call, const Runtime__V1__ImageFilter *filter,
                          Runtime__V1__Image ***ret, size_t *ret_count, Failure *why)
{
    const Runtime__V1__ImageSpec *wanted = filter ? filter->image : NULL;
    const Podmon__ImageRecord *only = NULL;
    const Node *node = cri_call_node(call);
    Arena *arena = cri_call_arena(call);
    Runtime__V1__Image **images;
    size_t count = 0;

    *ret_count = 0;
    image_store_sync(node->images);
    if (wanted && *wanted->image) {
        int r = find_image(call, wanted, &only, why);

        if (r < 0)
            return why->code == FAILURE_NOT_FOUND ? 0 : r;
    }
    images = arena_alloc_array(arena, image_store_count(node->images), sizeof(*images));
    for (size_t i = 0; i < image_store_count(node->images); i++) {
        const Podmon__ImageRecord *image = image_store_get(node->images, i);

        if (!only || image == only)
            images[count++] = raise_image(arena, image, is_pinned(node, image));
    }
    *ret = images;
    *ret_count = count;
    return 0;
}

void cri_list_images(CriCall *call)
{
    const Runtime__V1__ListImagesRequest *request = (const void *)cri_call_request(call);
    Runtime__V1__ListImagesResponse response = RUNTIME__V1__LIST_IMAGES_RESPONSE__INIT;
    Failure why;

    if (collect_images(call, request->filter, &response.images, &response.n_images, &why) < 0)
        cri_call_fail(call, &why);
    else
        cri_call_reply(call, &response.base);
}

void cri_stream_images(CriCall *call)
{
    const Runtime__V1__StreamImagesRequest *request = (const void *)cri_call_request(call);
    Runtime__V1__Image **images = NULL;
    size_t count;
    Failure why;

    if (collect_images(call, request->filter, &images, &count, &why) < 0)
        cri_call_fail(call, &why);
    else
        pieces_send(call, &runtime__v1__stream_images_response__descriptor, images, count);
}

/* An image that is not there is an empty answer, not a failure. */
void cri_image_status(CriCall *call)
{
    const Runtime__V1__ImageStatusRequest *request = (const void *)cri_call_request(call);
    Runtime__V1__ImageStatusResponse response = RUNTIME__V1__IMAGE_STATUS_RESPONSE__INIT;
    const Podmon__ImageRecord *image = NULL;
    Arena *arena = cri_call_arena(call);
    Podmon__Pair **info;
    Failure why;

    if (find_image(call, request->image, &image, &why) < 0) {
        if (why.code == FAILURE_NOT_FOUND)
            cri_call_reply(call, &response.base);
        else
            cri_call_fail(call, &why);
        return;
    }
    response.image = raise_image(arena, image, is_pinned(cri_call_node(call), image));
    if (request->verbose) {
        info = info_of_image(arena, image, &response.n_info);
        response.info =
            map_from_pairs(arena, &runtime__v1__image_status_response__info_entry__descriptor, info,
                           response.n_info);
    }
    cri_call_reply(call, &response.base);
}

static size_t add_layers(char **list, size_t count, char *const *layers, size_t layers_count)
{
    for (size_t i = 0; list && i < layers_count; i++)
        list[count + i] = layers[i];
    return count + layers_count;
}

/* The directories of all layers that containers stand on, or have as volumes. `list` may be NULL,
 * to count them. */
static size_t list_layers(PodIndex *index, char **list)
{
    size_t count = 0;

    for (size_t i = 0; i < pod_index_count(index); i++) {
        const Podmon__PodRecord *pod = pod_index_get(index, i)->record;

        for (size_t j = 0; j < pod->n_containers; j++) {
            const Podmon__ContainerSpec *spec = pod->containers[j]->spec;

            count = add_layers(list, count, spec->layers, spec->n_layers);
            for (size_t k = 0; k < spec->n_mounts; k++)
                count = add_layers(list, count, spec->mounts[k]->layers, spec->mounts[k]->n_layers);
        }
    }
    return count;
}

/* NULL at the end. */
static char **collect_layers(CriCall *call)
{
    PodIndex *index = cri_call_node(call)->pods;
    char **layers;

    pod_index_sync(index);
    layers = arena_alloc_array(cri_call_arena(call), list_layers(index, NULL) + 1, sizeof(char *));
    (void)list_layers(index, layers);
    return layers;
}

/* By whichever name: all names of the image go with it. */
void cri_remove_image(CriCall *call)
{
    const Runtime__V1__RemoveImageRequest *request = (const void *)cri_call_request(call);
    const Podmon__ImageRecord *image = NULL;
    const Node *node = cri_call_node(call);
    AUTO_CLOSE int sweep_fd = image_store_hold_sweep(node->images);
    Failure why;
    int r;

    r = find_image(call, request->image, &image, &why);
    if (r >= 0)
        r = image_store_remove(node->images, image->id, sweep_fd, collect_layers(call), &why);
    if (r < 0 && why.code != FAILURE_NOT_FOUND)
        cri_call_fail(call, &why);
    else
        cri_call_reply(call, forward_empty(call, &runtime__v1__remove_image_response__descriptor));
}

/* Images and what containers write lie on one file system, and are shown as one. */
void cri_image_fs_info(CriCall *call)
{
    Runtime__V1__ImageFsInfoResponse response = RUNTIME__V1__IMAGE_FS_INFO_RESPONSE__INIT;
    Runtime__V1__FilesystemUsage usage = RUNTIME__V1__FILESYSTEM_USAGE__INIT;
    Runtime__V1__FilesystemIdentifier file_system = RUNTIME__V1__FILESYSTEM_IDENTIFIER__INIT;
    Runtime__V1__UInt64Value bytes = RUNTIME__V1__UINT64_VALUE__INIT;
    Runtime__V1__UInt64Value inodes = RUNTIME__V1__UINT64_VALUE__INIT;
    Runtime__V1__FilesystemUsage *all[] = {&usage};
    ImageStore *store = cri_call_node(call)->images;
    Failure why;
    int r;

    r = image_store_usage(store, &bytes.value, &inodes.value);
    if (r < 0) {
        (void)failure_set(&why, FAILURE_INTERNAL, -r, "cannot measure %s", image_store_path(store));
        cri_call_fail(call, &why);
        return;
    }
    file_system.mountpoint = (char *)(uintptr_t)image_store_path(store);
    usage.timestamp = clock_real();
    usage.fs_id = &file_system;
    usage.used_bytes = &bytes;
    usage.inodes_used = &inodes;
    response.n_image_filesystems = 1;
    response.image_filesystems = all;
    response.n_container_filesystems = 1;
    response.container_filesystems = all;
    cri_call_reply(call, &response.base);
}
