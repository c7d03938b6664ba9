/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of pods and containers, whole or as a stream. */
#include "dispatcher/cri/filter.h"
#include "dispatcher/cri/handlers.h"
#include "dispatcher/cri/pieces.h"
#include "dispatcher/cri/raise.h"
#include "dispatcher/pods/index.h"
#include "runtime_v1.pb-c.h"

static Runtime__V1__PodSandbox **
collect_pods(CriCall *call, const Runtime__V1__PodSandboxFilter *filter, size_t *ret_count)
{
    PodIndex *index = cri_call_node(call)->pods;
    Arena *arena = cri_call_arena(call);
    Runtime__V1__PodSandbox **items;
    size_t count = 0;

    pod_index_sync(index);
    items = arena_alloc_array(arena, pod_index_count(index), sizeof(*items));
    for (size_t i = 0; i < pod_index_count(index); i++) {
        const Podmon__PodRecord *pod = pod_index_get(index, i)->record;

        if (filter_pod(filter, pod))
            items[count++] = raise_pod(arena, pod);
    }
    *ret_count = count;
    return items;
}

void cri_list_pod_sandbox(CriCall *call)
{
    const Runtime__V1__ListPodSandboxRequest *request = (const void *)cri_call_request(call);
    Runtime__V1__ListPodSandboxResponse response = RUNTIME__V1__LIST_POD_SANDBOX_RESPONSE__INIT;

    response.items = collect_pods(call, request->filter, &response.n_items);
    cri_call_reply(call, &response.base);
}

void cri_stream_pod_sandboxes(CriCall *call)
{
    const Runtime__V1__StreamPodSandboxesRequest *request = (const void *)cri_call_request(call);
    size_t count = 0;
    void *items = collect_pods(call, request->filter, &count);

    pieces_send(call, &runtime__v1__stream_pod_sandboxes_response__descriptor, items, count);
}

static Runtime__V1__Container **
collect_containers(CriCall *call, const Runtime__V1__ContainerFilter *filter, size_t *ret_count)
{
    PodIndex *index = cri_call_node(call)->pods;
    Arena *arena = cri_call_arena(call);
    Runtime__V1__Container **items;
    size_t most = 0, count = 0;

    pod_index_sync(index);
    for (size_t i = 0; i < pod_index_count(index); i++)
        most += pod_index_get(index, i)->record->n_containers;
    items = arena_alloc_array(arena, most, sizeof(*items));
    for (size_t i = 0; i < pod_index_count(index); i++) {
        const Podmon__PodRecord *pod = pod_index_get(index, i)->record;

        for (size_t j = 0; j < pod->n_containers; j++)
            if (filter_container(filter, pod, pod->containers[j]))
                items[count++] = raise_container(arena, pod, pod->containers[j]);
    }
    *ret_count = count;
    return items;
}

void cri_list_containers(CriCall *call)
{
    const Runtime__V1__ListContainersRequest *request = (const void *)cri_call_request(call);
    Runtime__V1__ListContainersResponse response = RUNTIME__V1__LIST_CONTAINERS_RESPONSE__INIT;

    response.containers = collect_containers(call, request->filter, &response.n_containers);
    cri_call_reply(call, &response.base);
}

void cri_stream_containers(CriCall *call)
{
    const Runtime__V1__StreamContainersRequest *request = (const void *)cri_call_request(call);
    size_t count = 0;
    void *items = collect_containers(call, request->filter, &count);

    pieces_send(call, &runtime__v1__stream_containers_response__descriptor, items, count);
}
