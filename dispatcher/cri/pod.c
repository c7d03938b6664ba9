/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>

#include "dispatcher/config.h"
#include "dispatcher/cri/context.h"
#include "dispatcher/cri/forward.h"
#include "dispatcher/cri/handlers.h"
#include "dispatcher/cri/info.h"
#include "dispatcher/cri/levels.h"
#include "dispatcher/cri/lookup.h"
#include "dispatcher/cri/map.h"
#include "dispatcher/cri/raise.h"
#include "dispatcher/pods/guard.h"
#include "dispatcher/pods/launch.h"
#include "runtime_v1.pb-c.h"
#include "shared/clock.h"
#include "shared/id.h"
#include "shared/selinux.h"

/* The sandbox that a repeated request means. A stopped one is over: its name is free again. */
static const char *find_repeated(CriCall *call, const Podmon__PodName *name)
{
    PodIndex *index = cri_call_node(call)->pods;
    const Pod *pod;

    pod_index_sync(index);
    if (pod_index_find_name(index, name, &pod) < 0 || pod->stale)
        return NULL;
    if (pod->record->phase != PODMON__POD_PHASE__POD_STARTING &&
        pod->record->phase != PODMON__POD_PHASE__POD_READY)
        return NULL;
    return arena_copy(cri_call_arena(call), pod->record->spec->id);
}

/* Brings a new pod into being, in phase STARTING: from then on it is listed, and a podmon carries
 * on from there. */
static int create_pod(CriCall *call, const Runtime__V1__RunPodSandboxRequest *request,
                      const char **ret_id, Failure *why)
{
    const Config *config = cri_call_node(call)->config;
    const LaunchPaths paths = {config->podmon, config->run_dir, config->root_dir};
    LowerContext context = context_read(call);
    Podmon__PodSpec *spec = NULL;
    char id[ID_SIZE];
    int r;

    r = id_make_pod(id);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot make an id");
    if (selinux_is_on() && (r = levels_choose(cri_call_node(call)->pods, context.arena,
                                              &context.selinux_level, why)) < 0)
        return r;
    r = lower_pod(&context, request, id, &spec, why);
    if (r < 0)
        return r;
    r = launch_create(&paths, spec, why);
    if (r < 0)
        return r;
    *ret_id = spec->id;
    return 0;
}

void cri_run_pod_sandbox(CriCall *call)
{
    const Runtime__V1__RunPodSandboxRequest *request = (const void *)cri_call_request(call);
    Runtime__V1__RunPodSandboxResponse *response =
        (void *)forward_empty(call, &runtime__v1__run_pod_sandbox_response__descriptor);
    Podmon__RunPod run = PODMON__RUN_POD__INIT;
    Podmon__Request down = PODMON__REQUEST__INIT;
    Podmon__PodName *name = NULL;
    const char *id;
    Failure why;

    if (lower_pod_name(cri_call_arena(call), request->config, &name, &why) < 0) {
        cri_call_fail(call, &why);
        return;
    }
    id = find_repeated(call, name);
    if (!id && create_pod(call, request, &id, &why) < 0) {
        cri_call_fail(call, &why);
        return;
    }
    response->pod_sandbox_id = (char *)(uintptr_t)id;
    down.call_case = PODMON__REQUEST__CALL_RUN_POD;
    down.run_pod = &run;
    forward_call(call, id, &down, &(Forward){.answer = &response->base});
}

/* Stop and remove: an unknown pod is stopped and removed already. NULL: the call is answered. */
static const Pod *find_to_end(CriCall *call, const char *id,
                              const ProtobufCMessageDescriptor *response)
{
    const Pod *pod = NULL;
    Failure why;

    if (lookup_pod(call, id, &pod, &why) >= 0)
        return pod;
    if (why.code == FAILURE_NOT_FOUND)
        cri_call_reply(call, forward_empty(call, response));
    else
        cri_call_fail(call, &why);
    return NULL;
}

void cri_stop_pod_sandbox(CriCall *call)
{
    const Runtime__V1__StopPodSandboxRequest *request = (const void *)cri_call_request(call);
    const ProtobufCMessageDescriptor *response =
        &runtime__v1__stop_pod_sandbox_response__descriptor;
    const Pod *pod = find_to_end(call, request->pod_sandbox_id, response);
    Podmon__StopPod stop = PODMON__STOP_POD__INIT;
    Podmon__Request down = PODMON__REQUEST__INIT;

    if (!pod)
        return;
    /* A pod of an earlier boot may still have addresses to give back. */
    if (pod->record->phase == PODMON__POD_PHASE__POD_STOPPED && !pod->stale) {
        cri_call_reply(call, forward_empty(call, response));
        return;
    }
    down.call_case = PODMON__REQUEST__CALL_STOP_POD;
    down.stop_pod = &stop;
    forward_call(
        call, pod->record->spec->id, &down,
        &(Forward){.answer = forward_empty(call, response), .absent = FORWARD_ABSENT_IS_DONE});
}

void cri_remove_pod_sandbox(CriCall *call)
{
    const Runtime__V1__RemovePodSandboxRequest *request = (const void *)cri_call_request(call);
    const ProtobufCMessageDescriptor *response =
        &runtime__v1__remove_pod_sandbox_response__descriptor;
    const Pod *pod = find_to_end(call, request->pod_sandbox_id, response);
    Podmon__RemovePod remove = PODMON__REMOVE_POD__INIT;
    Podmon__Request down = PODMON__REQUEST__INIT;

    if (!pod)
        return;
    down.call_case = PODMON__REQUEST__CALL_REMOVE_POD;
    down.remove_pod = &remove;
    forward_call(
        call, pod->record->spec->id, &down,
        &(Forward){.answer = forward_empty(call, response), .absent = FORWARD_ABSENT_IS_DONE});
}

void cri_pod_sandbox_status(CriCall *call)
{
    const Runtime__V1__PodSandboxStatusRequest *request = (const void *)cri_call_request(call);
    Runtime__V1__PodSandboxStatusResponse response = RUNTIME__V1__POD_SANDBOX_STATUS_RESPONSE__INIT;
    Arena *arena = cri_call_arena(call);
    const Pod *pod = NULL;
    Podmon__Pair **info;
    Failure why;

    if (lookup_pod(call, request->pod_sandbox_id, &pod, &why) < 0) {
        cri_call_fail(call, &why);
        return;
    }
    response.status = raise_pod_status(arena, pod->record);
    /* A time promises that the containers are all here, as they were then. */
    response.timestamp = clock_real();
    response.n_containers_statuses = pod->record->n_containers;
    response.containers_statuses =
        arena_alloc_array(arena, pod->record->n_containers, sizeof(Runtime__V1__ContainerStatus *));
    for (size_t i = 0; i < pod->record->n_containers; i++)
        response.containers_statuses[i] = raise_container_status(arena, pod->record->containers[i]);
    if (request->verbose) {
        info = info_of_pod(arena, pod->record,
                           pod_guard_silence(cri_call_node(call)->guard, pod->record->spec->id),
                           &response.n_info);
        response.info =
            map_from_pairs(arena, &runtime__v1__pod_sandbox_status_response__info_entry__descriptor,
                           info, response.n_info);
    }
    cri_call_reply(call, &response.base);
}

/* The kubelet sets the pod's own cgroup itself; here the sums are kept with the pod, for whoever
 * looks at it. */
void cri_update_pod_sandbox_resources(CriCall *call)
{
    const Runtime__V1__UpdatePodSandboxResourcesRequest *request =
        (const void *)cri_call_request(call);
    Podmon__UpdatePod update = PODMON__UPDATE_POD__INIT;
    Podmon__Request down = PODMON__REQUEST__INIT;
    Arena *arena = cri_call_arena(call);
    const Pod *pod = NULL;
    Failure why;
    int r = lookup_pod(call, request->pod_sandbox_id, &pod, &why);

    if (r >= 0 && request->overhead)
        r = lower_resources(arena, "overhead", request->overhead, &update.overhead, &why);
    if (r >= 0 && request->resources)
        r = lower_resources(arena, "resources", request->resources, &update.resources, &why);
    if (r < 0) {
        cri_call_fail(call, &why);
        return;
    }
    down.call_case = PODMON__REQUEST__CALL_UPDATE_POD;
    down.update_pod = &update;
    forward_call(
        call, pod->record->spec->id, &down,
        &(Forward){.answer = forward_empty(
                       call, &runtime__v1__update_pod_sandbox_resources_response__descriptor)});
}
