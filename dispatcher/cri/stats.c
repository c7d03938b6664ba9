/* SPDX-License-Identifier: Apache-2.0 */
/* What containers and pods use: read from the files that podmons publish; no podmon is woken. */
#include <errno.h>

#include "dispatcher/config.h"
#include "dispatcher/cri/filter.h"
#include "dispatcher/cri/handlers.h"
#include "dispatcher/cri/lookup.h"
#include "dispatcher/cri/metrics.h"
#include "dispatcher/cri/pieces.h"
#include "dispatcher/cri/raise_stats.h"
#include "dispatcher/image/store.h"
#include "dispatcher/pods/samples.h"
#include "runtime_v1.pb-c.h"
#include "shared/clock.h"
#include "shared/log.h"

/* NULL: there is none, or none that can be read. */
static Podmon__PodSample *read_sample(CriCall *call, const Podmon__PodRecord *pod)
{
    const Node *node = cri_call_node(call);
    Podmon__PodSample *sample = NULL;
    int r;

    if (pod->phase != PODMON__POD_PHASE__POD_READY)
        return NULL;
    r = samples_read(node->config->run_dir, pod->spec->id, arena_allocator(cri_call_arena(call)),
                     &sample);
    if (r < 0 && r != -ENOENT)
        log_warning("what pod %s uses cannot be read: error %d", pod->spec->id, -r);
    return sample;
}

/* With the processor time of the containers as it is now. */
static Podmon__PodSample *read_containers(CriCall *call, const Podmon__PodRecord *pod)
{
    Podmon__PodSample *sample = read_sample(call, pod);
    int64_t now = clock_real();

    for (size_t i = 0; sample && i < sample->n_containers; i++)
        samples_freshen(sample->containers[i]->group, now);
    return sample;
}

/* With that of the pod, too. */
static const Podmon__PodSample *read_pod(CriCall *call, const Podmon__PodRecord *pod)
{
    Podmon__PodSample *sample = read_containers(call, pod);

    if (sample)
        samples_freshen(sample->group, clock_real());
    return sample;
}

static const char *file_system_of(CriCall *call)
{
    return image_store_path(cri_call_node(call)->images);
}

void cri_container_stats(CriCall *call)
{
    const Runtime__V1__ContainerStatsRequest *request = (const void *)cri_call_request(call);
    Runtime__V1__ContainerStatsResponse response = RUNTIME__V1__CONTAINER_STATS_RESPONSE__INIT;
    const Podmon__ContainerRecord *container = NULL;
    const Pod *pod = NULL;
    Failure why;

    if (lookup_container(call, request->container_id, &pod, &container, &why) < 0) {
        cri_call_fail(call, &why);
        return;
    }
    response.stats =
        raise_container_stats(cri_call_arena(call), container,
                              samples_find(read_containers(call, pod->record), container->spec->id),
                              file_system_of(call));
    cri_call_reply(call, &response.base);
}

/* Those of running containers: the others use nothing but disk. */
static Runtime__V1__ContainerStats **
collect_containers(CriCall *call, const Runtime__V1__ContainerStatsFilter *filter,
                   size_t *ret_count)
{
    PodIndex *index = cri_call_node(call)->pods;
    Arena *arena = cri_call_arena(call);
    Runtime__V1__ContainerStats **items;
    size_t most = 0, count = 0;

    pod_index_sync(index);
    for (size_t i = 0; i < pod_index_count(index); i++)
        most += pod_index_get(index, i)->record->n_containers;
    items = arena_alloc_array(arena, most, sizeof(*items));
    for (size_t i = 0; i < pod_index_count(index); i++) {
        const Podmon__PodRecord *pod = pod_index_get(index, i)->record;
        const Podmon__PodSample *sample = NULL;

        for (size_t j = 0; j < pod->n_containers; j++) {
            const Podmon__ContainerRecord *container = pod->containers[j];

            if (container->phase != PODMON__CONTAINER_PHASE__CONTAINER_RUNNING ||
                !filter_container_stats(filter, pod, container))
                continue;
            sample = sample ? sample : read_containers(call, pod);
            items[count++] = raise_container_stats(
                arena, container, samples_find(sample, container->spec->id), file_system_of(call));
        }
    }
    *ret_count = count;
    return items;
}

void cri_list_container_stats(CriCall *call)
{
    const Runtime__V1__ListContainerStatsRequest *request = (const void *)cri_call_request(call);
    Runtime__V1__ListContainerStatsResponse response =
        RUNTIME__V1__LIST_CONTAINER_STATS_RESPONSE__INIT;

    response.stats = collect_containers(call, request->filter, &response.n_stats);
    cri_call_reply(call, &response.base);
}

void cri_stream_container_stats(CriCall *call)
{
    const Runtime__V1__StreamContainerStatsRequest *request = (const void *)cri_call_request(call);
    size_t count = 0;
    void *items = collect_containers(call, request->filter, &count);

    pieces_send(call, &runtime__v1__stream_container_stats_response__descriptor, items, count);
}

void cri_pod_sandbox_stats(CriCall *call)
{
    const Runtime__V1__PodSandboxStatsRequest *request = (const void *)cri_call_request(call);
    Runtime__V1__PodSandboxStatsResponse response = RUNTIME__V1__POD_SANDBOX_STATS_RESPONSE__INIT;
    const Pod *pod = NULL;
    Failure why;

    if (lookup_pod(call, request->pod_sandbox_id, &pod, &why) < 0) {
        cri_call_fail(call, &why);
        return;
    }
    response.stats = raise_pod_stats(cri_call_arena(call), pod->record, read_pod(call, pod->record),
                                     file_system_of(call));
    cri_call_reply(call, &response.base);
}

static Runtime__V1__PodSandboxStats **
collect_pods(CriCall *call, const Runtime__V1__PodSandboxStatsFilter *filter, size_t *ret_count)
{
    PodIndex *index = cri_call_node(call)->pods;
    Arena *arena = cri_call_arena(call);
    Runtime__V1__PodSandboxStats **items;
    size_t count = 0;

    pod_index_sync(index);
    items = arena_alloc_array(arena, pod_index_count(index), sizeof(*items));
    for (size_t i = 0; i < pod_index_count(index); i++) {
        const Podmon__PodRecord *pod = pod_index_get(index, i)->record;

        if (pod->phase == PODMON__POD_PHASE__POD_READY && filter_pod_stats(filter, pod))
            items[count++] = raise_pod_stats(arena, pod, read_pod(call, pod), file_system_of(call));
    }
    *ret_count = count;
    return items;
}

void cri_list_pod_sandbox_stats(CriCall *call)
{
    const Runtime__V1__ListPodSandboxStatsRequest *request = (const void *)cri_call_request(call);
    Runtime__V1__ListPodSandboxStatsResponse response =
        RUNTIME__V1__LIST_POD_SANDBOX_STATS_RESPONSE__INIT;

    response.stats = collect_pods(call, request->filter, &response.n_stats);
    cri_call_reply(call, &response.base);
}

void cri_stream_pod_sandbox_stats(CriCall *call)
{
    const Runtime__V1__StreamPodSandboxStatsRequest *request = (const void *)cri_call_request(call);
    size_t count = 0;
    void *items = collect_pods(call, request->filter, &count);

    pieces_send(call, &runtime__v1__stream_pod_sandbox_stats_response__descriptor, items, count);
}

/* ---- the same numbers as metrics */

static Runtime__V1__PodSandboxMetrics **collect_metrics(CriCall *call, size_t *ret_count)
{
    PodIndex *index = cri_call_node(call)->pods;
    Arena *arena = cri_call_arena(call);
    Runtime__V1__PodSandboxMetrics **items;
    size_t count = 0;

    pod_index_sync(index);
    items = arena_alloc_array(arena, pod_index_count(index), sizeof(*items));
    for (size_t i = 0; i < pod_index_count(index); i++) {
        const Podmon__PodRecord *pod = pod_index_get(index, i)->record;
        const Podmon__PodSample *sample = read_sample(call, pod);

        if (sample)
            items[count++] = metrics_of_pod(arena, pod, sample);
    }
    *ret_count = count;
    return items;
}

void cri_list_metric_descriptors(CriCall *call)
{
    Runtime__V1__ListMetricDescriptorsResponse response =
        RUNTIME__V1__LIST_METRIC_DESCRIPTORS_RESPONSE__INIT;

    response.descriptors = metrics_describe(cri_call_arena(call), &response.n_descriptors);
    cri_call_reply(call, &response.base);
}

void cri_list_pod_sandbox_metrics(CriCall *call)
{
    Runtime__V1__ListPodSandboxMetricsResponse response =
        RUNTIME__V1__LIST_POD_SANDBOX_METRICS_RESPONSE__INIT;

    response.pod_metrics = collect_metrics(call, &response.n_pod_metrics);
    cri_call_reply(call, &response.base);
}

void cri_stream_pod_sandbox_metrics(CriCall *call)
{
    size_t count = 0;
    void *items = collect_metrics(call, &count);

    pieces_send(call, &runtime__v1__stream_pod_sandbox_metrics_response__descriptor, items, count);
}
