/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>

#include "dispatcher/cri/cdi.h"
#include "dispatcher/cri/context.h"
#include "dispatcher/cri/forward.h"
#include "dispatcher/cri/handlers.h"
#include "dispatcher/cri/info.h"
#include "dispatcher/cri/lookup.h"
#include "dispatcher/cri/map.h"
#include "dispatcher/cri/raise.h"
#include "dispatcher/cri/seccomp_file.h"
#include "dispatcher/image/store.h"
#include "runtime_v1.pb-c.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/id.h"

/* A sweep takes names away and is done in milliseconds; what it deletes, it deletes afterwards. */
#define SWEEP_RETRY (5 * CLOCK_MILLISECOND)
#define SWEEP_PATIENCE (5 * CLOCK_SECOND)

/* The image's record and the directories of its layers. */
static int find_image(CriCall *call, const char *name, const Podmon__ImageRecord **ret,
                      char ***ret_layers, Failure *why)
{
    ImageStore *store = cri_call_node(call)->images;
    Arena *arena = cri_call_arena(call);
    const Podmon__ImageRecord *image;
    char path[PATH_MAX];
    char **layers;
    int r;

    r = image_store_find(store, name, &image);
    if (r == -EINVAL)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "\"%.200s\" is not a reference to an image", name);
    if (r < 0)
        return failure_say(why, FAILURE_NOT_FOUND, "\"%.200s\" is not in the store", name);
    layers = arena_alloc_array(arena, image->n_layers, sizeof(char *));
    for (size_t i = 0; i < image->n_layers; i++) {
        r = image_store_layer_path(store, image->layers[i], path);
        if (r < 0)
            return failure_set(why, FAILURE_INTERNAL, -r, "layer %.80s of image %.80s",
                               image->layers[i], image->id);
        layers[i] = arena_copy(arena, path);
    }
    *ret = image;
    *ret_layers = layers;
    return 0;
}

/* The layers of the images that are mounted as volumes. */
static int find_volumes(CriCall *call, Podmon__ContainerSpec *spec, Failure *why)
{
    for (size_t i = 0; i < spec->n_mounts; i++) {
        Podmon__Mount *mount = spec->mounts[i];
        const Podmon__ImageRecord *image = NULL;
        int r;

        if (mount->kind != PODMON__MOUNT_KIND__MOUNT_IMAGE)
            continue;
        r = find_image(call, mount->image->name, &image, &mount->layers, why);
        if (r < 0) {
            failure_prefix(why, "config.mounts: \"%.200s\"", mount->destination);
            return r;
        }
        mount->n_layers = image->n_layers;
        mount->image->image_id = image->id;
        mount->image->image_ref = image->n_digests > 0 ? image->digests[0] : image->id;
    }
    return 0;
}

static int make_spec(CriCall *call, const Runtime__V1__CreateContainerRequest *request,
                     const Pod *pod, Podmon__ContainerSpec **ret, Failure *why)
{
    const Podmon__ImageRecord *image = NULL;
    LowerContext context;
    char **layers = NULL;
    char id[ID_SIZE];
    int r;

    if (!request->config)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "config: is missing");
    if (raise_pod_state(pod->record) != RUNTIME__V1__POD_SANDBOX_STATE__SANDBOX_READY)
        return failure_say(why, FAILURE_FAILED_PRECONDITION, "pod sandbox \"%s\" is not ready",
                           pod->record->spec->id);
    if (!request->config->image || !*request->config->image->image)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "config.image.image: must not be empty");
    /* Once: the plan shares the strings of the images' records. */
    image_store_sync(cri_call_node(call)->images);
    r = find_image(call, request->config->image->image, &image, &layers, why);
    if (r < 0) {
        failure_prefix(why, "config.image.image");
        return r;
    }
    r = id_make_container(pod->record->spec->id, id);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot make an id");
    context = context_read(call);
    r = lower_container(&context, request->config, pod->record, image, layers, id, ret, why);
    if (r >= 0)
        r = find_volumes(call, *ret, why);
    if (r >= 0)
        r = cdi_apply(context.arena, context.config->cdi_dirs, request->config->cdi_devices,
                      request->config->n_cdi_devices, *ret, why);
    return r < 0 ? r : seccomp_file_read(context.arena, (*ret)->security, why);
}

/* The reply's id counts: a repeated request gets that of the container there is. */
static void fill_created(ProtobufCMessage *answer, const Podmon__Reply *reply)
{
    ((Runtime__V1__CreateContainerResponse *)(void *)answer)->container_id = reply->container_id;
}

/* With the image store held: from before the image is looked up until its layers are mounted. */
static void create_container(CriCall *call, int hold_fd)
{
    const Runtime__V1__CreateContainerRequest *request = (const void *)cri_call_request(call);
    Podmon__CreateContainer create = PODMON__CREATE_CONTAINER__INIT;
    Podmon__Request down = PODMON__REQUEST__INIT;
    const Pod *pod = NULL;
    Failure why;
    int r = lookup_pod(call, request->pod_sandbox_id, &pod, &why);

    if (r >= 0)
        r = make_spec(call, request, pod, &create.spec, &why);
    if (r < 0) {
        fd_close(&hold_fd);
        cri_call_fail(call, &why);
        return;
    }
    down.call_case = PODMON__REQUEST__CALL_CREATE_CONTAINER;
    down.create_container = &create;
    forward_call(call, pod->record->spec->id, &down,
                 &(Forward){.answer = forward_empty(
                                call, &runtime__v1__create_container_response__descriptor),
                            .fill = fill_created,
                            .hold_fd = hold_fd});
}

/* A CreateContainer that waits for the end of a sweep of the image store. In the call's arena. */
typedef struct Waiting {
    CriCall *call;
    EventSource *timer;
    uint64_t deadline;
} Waiting;

static void try_to_create(void *data, uint32_t events)
{
    Waiting *waiting = data;
    CriCall *call = waiting->call;
    const Node *node = cri_call_node(call);
    uint64_t now = clock_monotonic();
    int hold_fd = image_store_hold(node->images);
    Failure why;

    (void)events;
    waiting->timer = event_free(waiting->timer);
    if (hold_fd >= 0) {
        create_container(call, hold_fd);
        return;
    }
    if (hold_fd == -EBUSY && now < waiting->deadline && !cri_call_is_gone(call) &&
        event_add_timer(node->loop, now + SWEEP_RETRY, try_to_create, waiting, &waiting->timer) >=
            0)
        return;
    (void)failure_set(&why, FAILURE_UNAVAILABLE, -hold_fd, "the image store is being swept");
    cri_call_fail(call, &why);
}

void cri_create_container(CriCall *call)
{
    Waiting *waiting = arena_alloc(cri_call_arena(call), sizeof(*waiting));

    *waiting = (Waiting){.call = call, .deadline = clock_monotonic() + SWEEP_PATIENCE};
    try_to_create(waiting, 0);
}

/* A container of a pod that is ready, for calls that make no sense elsewhere. */
static int find_in_ready_pod(CriCall *call, const char *id, const Pod **ret_pod,
                             const Podmon__ContainerRecord **ret, Failure *why)
{
    int r = lookup_container(call, id, ret_pod, ret, why);

    if (r < 0)
        return r;
    if (raise_pod_state((*ret_pod)->record) == RUNTIME__V1__POD_SANDBOX_STATE__SANDBOX_READY)
        return 0;
    return failure_say(why, FAILURE_FAILED_PRECONDITION,
                       "container \"%.80s\" is in a pod sandbox that is not ready", id);
}

void cri_start_container(CriCall *call)
{
    const Runtime__V1__StartContainerRequest *request = (const void *)cri_call_request(call);
    Podmon__StartContainer start = PODMON__START_CONTAINER__INIT;
    Podmon__Request down = PODMON__REQUEST__INIT;
    const Podmon__ContainerRecord *container = NULL;
    const Pod *pod = NULL;
    Failure why;

    if (find_in_ready_pod(call, request->container_id, &pod, &container, &why) < 0) {
        cri_call_fail(call, &why);
        return;
    }
    start.id = container->spec->id;
    down.call_case = PODMON__REQUEST__CALL_START_CONTAINER;
    down.start_container = &start;
    forward_call(call, pod->record->spec->id, &down,
                 &(Forward){.answer = forward_empty(
                                call, &runtime__v1__start_container_response__descriptor)});
}

/* Stop and remove: an unknown container is stopped and removed already. NULL: answered. */
static const Podmon__ContainerRecord *find_to_end(CriCall *call, const char *id,
                                                  const ProtobufCMessageDescriptor *response,
                                                  const Pod **ret_pod)
{
    const Podmon__ContainerRecord *container = NULL;
    Failure why;

    if (lookup_container(call, id, ret_pod, &container, &why) >= 0)
        return container;
    if (why.code == FAILURE_NOT_FOUND)
        cri_call_reply(call, forward_empty(call, response));
    else
        cri_call_fail(call, &why);
    return NULL;
}

void cri_stop_container(CriCall *call)
{
    const Runtime__V1__StopContainerRequest *request = (const void *)cri_call_request(call);
    const ProtobufCMessageDescriptor *response = &runtime__v1__stop_container_response__descriptor;
    Podmon__StopContainer stop = PODMON__STOP_CONTAINER__INIT;
    Podmon__Request down = PODMON__REQUEST__INIT;
    const Podmon__ContainerRecord *container;
    const Pod *pod = NULL;
    int64_t grace = request->timeout < INT32_MAX ? request->timeout : INT32_MAX;
    Failure why;

    if (grace < 0) {
        (void)failure_say(&why, FAILURE_INVALID_ARGUMENT, "timeout: %lld is negative",
                          (long long)request->timeout);
        cri_call_fail(call, &why);
        return;
    }
    container = find_to_end(call, request->container_id, response, &pod);
    if (!container)
        return;
    if (container->phase == PODMON__CONTAINER_PHASE__CONTAINER_CREATED ||
        container->phase == PODMON__CONTAINER_PHASE__CONTAINER_EXITED) {
        cri_call_reply(call, forward_empty(call, response));
        return;
    }
    stop.id = container->spec->id;
    stop.grace_ms = grace * 1000;
    down.call_case = PODMON__REQUEST__CALL_STOP_CONTAINER;
    down.stop_container = &stop;
    forward_call(call, pod->record->spec->id, &down,
                 &(Forward){.answer = forward_empty(call, response),
                            .absent = FORWARD_ABSENT_IS_DONE,
                            .more_time = (uint64_t)grace * CLOCK_SECOND});
}

void cri_remove_container(CriCall *call)
{
    const Runtime__V1__RemoveContainerRequest *request = (const void *)cri_call_request(call);
    const ProtobufCMessageDescriptor *response =
        &runtime__v1__remove_container_response__descriptor;
    Podmon__RemoveContainer remove = PODMON__REMOVE_CONTAINER__INIT;
    Podmon__Request down = PODMON__REQUEST__INIT;
    const Podmon__ContainerRecord *container;
    const Pod *pod = NULL;

    container = find_to_end(call, request->container_id, response, &pod);
    if (!container)
        return;
    remove.id = container->spec->id;
    down.call_case = PODMON__REQUEST__CALL_REMOVE_CONTAINER;
    down.remove_container = &remove;
    forward_call(
        call, pod->record->spec->id, &down,
        &(Forward){.answer = forward_empty(call, response), .absent = FORWARD_ABSENT_IS_DONE});
}

void cri_container_status(CriCall *call)
{
    const Runtime__V1__ContainerStatusRequest *request = (const void *)cri_call_request(call);
    Runtime__V1__ContainerStatusResponse response = RUNTIME__V1__CONTAINER_STATUS_RESPONSE__INIT;
    Arena *arena = cri_call_arena(call);
    const Podmon__ContainerRecord *container = NULL;
    const Pod *pod = NULL;
    Podmon__Pair **info;
    Failure why;

    if (lookup_container(call, request->container_id, &pod, &container, &why) < 0) {
        cri_call_fail(call, &why);
        return;
    }
    response.status = raise_container_status(arena, container);
    if (request->verbose) {
        info = info_of_container(arena, pod->record, container, &response.n_info);
        response.info =
            map_from_pairs(arena, &runtime__v1__container_status_response__info_entry__descriptor,
                           info, response.n_info);
    }
    cri_call_reply(call, &response.base);
}

void cri_update_container_resources(CriCall *call)
{
    const Runtime__V1__UpdateContainerResourcesRequest *request =
        (const void *)cri_call_request(call);
    Podmon__UpdateContainer update = PODMON__UPDATE_CONTAINER__INIT;
    Podmon__Request down = PODMON__REQUEST__INIT;
    const Podmon__ContainerRecord *container = NULL;
    const Pod *pod = NULL;
    Failure why;

    if (find_in_ready_pod(call, request->container_id, &pod, &container, &why) < 0 ||
        lower_resources(cri_call_arena(call), "linux", request->linux, &update.resources, &why) <
            0) {
        cri_call_fail(call, &why);
        return;
    }
    update.id = container->spec->id;
    down.call_case = PODMON__REQUEST__CALL_UPDATE_CONTAINER;
    down.update_container = &update;
    forward_call(
        call, pod->record->spec->id, &down,
        &(Forward){.answer = forward_empty(
                       call, &runtime__v1__update_container_resources_response__descriptor)});
}

void cri_reopen_container_log(CriCall *call)
{
    const Runtime__V1__ReopenContainerLogRequest *request = (const void *)cri_call_request(call);
    Podmon__ReopenLog reopen = PODMON__REOPEN_LOG__INIT;
    Podmon__Request down = PODMON__REQUEST__INIT;
    const Podmon__ContainerRecord *container = NULL;
    const Pod *pod = NULL;
    Failure why;

    if (find_in_ready_pod(call, request->container_id, &pod, &container, &why) < 0) {
        cri_call_fail(call, &why);
        return;
    }
    reopen.id = container->spec->id;
    down.call_case = PODMON__REQUEST__CALL_REOPEN_LOG;
    down.reopen_log = &reopen;
    forward_call(call, pod->record->spec->id, &down,
                 &(Forward){.answer = forward_empty(
                                call, &runtime__v1__reopen_container_log_response__descriptor)});
}
