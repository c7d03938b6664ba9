/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/sample.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "podmon/container.h"
#include "podmon/sample_group.h"
#include "podmon/sample_layer.h"
#include "podmon/sample_network.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/layout.h"
#include "shared/log.h"
#include "shared/record.h"

#define PERIOD_DEFAULT (10 * CLOCK_SECOND)
#define SOON (200 * CLOCK_MILLISECOND) /* after a change: off the way of whoever asked for it */
#define LAYER_RETRY (300 * CLOCK_SECOND)

struct Sampler {
    Pod *pod;
    EventSource *timer;
    uint64_t deadline;
    int directory_fd;
    int network_fd;          /* −1: not opened yet, or the host's network */
    Podmon__PodSample *last; /* as published; may be NULL */
    Worker *worker;          /* measures one layer */
    char measured[ID_SIZE];  /* whose */
    bool complained;
};

static void take_sample(void *data, uint32_t events);

static void set_deadline(Sampler *sampler, uint64_t deadline)
{
    sampler->deadline = deadline;
    (void)event_set_timer(sampler->timer, deadline);
}

static uint64_t period_of(const Pod *pod)
{
    return pod->spec->sample_period_ms ? pod->spec->sample_period_ms * CLOCK_MILLISECOND
                                       : PERIOD_DEFAULT;
}

static Sampler *sampler_new(Pod *pod)
{
    Sampler *sampler = calloc(1, sizeof(*sampler));

    if (!sampler)
        return NULL;
    sampler->pod = pod;
    sampler->network_fd = -1;
    sampler->directory_fd = file_open_directory_at(pod->run_fd, LAYOUT_SAMPLES, 0700);
    if (sampler->directory_fd < 0 ||
        event_add_timer(pod->loop, UINT64_MAX, take_sample, sampler, &sampler->timer) < 0)
        return sampler_free(sampler);
    sampler->deadline = UINT64_MAX;
    return sampler;
}

Sampler *sampler_free(Sampler *sampler)
{
    if (!sampler)
        return NULL;
    (void)worker_free(sampler->worker);
    (void)event_free(sampler->timer);
    fd_close(&sampler->directory_fd);
    fd_close(&sampler->network_fd);
    if (sampler->last)
        podmon__pod_sample__free_unpacked(sampler->last, NULL);
    free(sampler);
    return NULL;
}

bool sampler_has_worker(const Sampler *sampler)
{
    return sampler && sampler->worker;
}

void sampler_follow(Pod *pod)
{
    uint64_t soon = clock_monotonic() + SOON;

    if (pod->state != POD_STATE_READY) {
        pod->sampler = sampler_free(pod->sampler);
        return;
    }
    if (!pod->sampler)
        pod->sampler = sampler_new(pod);
    if (pod->sampler && soon < pod->sampler->deadline)
        set_deadline(pod->sampler, soon);
}

static Podmon__ContainerSample *find_container(const Podmon__PodSample *sample, const char *id)
{
    for (size_t i = 0; sample && i < sample->n_containers; i++)
        if (strcmp(sample->containers[i]->id, id) == 0)
            return sample->containers[i];
    return NULL;
}

/* ---- what containers have written */

static void set_layer(Podmon__ContainerSample *container, Podmon__LayerSample *layer)
{
    if (container->layer)
        podmon__layer_sample__free_unpacked(container->layer, NULL);
    container->layer = layer;
}

static void layer_done(void *data, const char *output, size_t size, const Failure *why)
{
    Sampler *sampler = data;
    Podmon__ContainerSample *container = find_container(sampler->last, sampler->measured);
    Podmon__LayerSample *layer = NULL;

    (void)size;
    sampler->worker = NULL;
    if (why && container && container->layer) {
        /* What was known stays, with a pause before the next try. */
        container->layer->took = LAYER_RETRY;
        container->layer->taken_at = clock_real();
    }
    if (why && !sampler->complained)
        log_warning("%s", why->text);
    sampler->complained = why != NULL;
    if (!why && container && sample_layer_parse(output, &layer) >= 0)
        set_layer(container, layer);
    pod_reap_orphans(sampler->pod);
}

static void measure_layer(Sampler *sampler, Podmon__ContainerSample *container)
{
    Podmon__LayerSample *layer = NULL;
    Failure why = {0};
    int r;

    if (!sample_layer_is_due(container->layer, period_of(sampler->pod), clock_real()))
        return;
    r = sample_layer(sampler->pod, container->id, &layer);
    if (r >= 0) {
        set_layer(container, layer);
    } else if (r == -E2BIG && !sampler->worker) {
        memcpy(sampler->measured, container->id, strlen(container->id) + 1);
        if (sample_layer_begin(sampler->pod, container->id, layer_done, sampler, &sampler->worker,
                               &why) < 0)
            log_warning("%s", why.text);
    }
}

/* ---- one sample */

static Podmon__ContainerSample *make_container(const Sampler *sampler, const CgroupTree *tree,
                                               const Container *from)
{
    const Podmon__ContainerSample *last = find_container(sampler->last, from->record->spec->id);
    Podmon__ContainerSample *sample = malloc(sizeof(*sample));

    if (!sample)
        return NULL;
    podmon__container_sample__init(sample);
    sample->id = strdup(from->record->spec->id);
    sample->group = sample_group(tree, from->record->cgroup);
    if (!sample->id || !sample->group) {
        podmon__container_sample__free_unpacked(sample, NULL);
        return NULL;
    }
    if (last)
        sample_group_rate(sample->group, last->group->taken_at, last->group->cpu_usage);
    else
        sample_group_rate(sample->group, from->record->started_at, 0);
    if (last && last->layer) {
        sample->layer = malloc(sizeof(*sample->layer));
        if (sample->layer)
            *sample->layer = *last->layer;
    }
    return sample;
}

static int add_containers(const Sampler *sampler, const CgroupTree *tree, Podmon__PodSample *sample)
{
    size_t count = sampler->pod->record->n_containers;

    sample->containers = calloc(count > 0 ? count : 1, sizeof(*sample->containers));
    if (!sample->containers)
        return -ENOMEM;
    for (const Container *from = sampler->pod->containers; from; from = from->next) {
        if (from->state != CONTAINER_STATE_RUNNING)
            continue;
        sample->containers[sample->n_containers] = make_container(sampler, tree, from);
        if (!sample->containers[sample->n_containers])
            return -ENOMEM;
        sample->n_containers++;
    }
    return 0;
}

static int add_pod(Sampler *sampler, const CgroupTree *tree, Podmon__PodSample *sample)
{
    const Pod *pod = sampler->pod;

    sample->group = sample_group(tree, pod->record->cgroup);
    if (!sample->group)
        return -ENOMEM;
    if (sampler->last)
        sample_group_rate(sample->group, sampler->last->group->taken_at,
                          sampler->last->group->cpu_usage);
    if (sampler->network_fd < 0 && pod->sandbox.netns_fd >= 0)
        sampler->network_fd = sample_network_open(pod->sandbox.netns_fd);
    return sampler->network_fd >= 0 ? sample_network(sampler->network_fd, sample) : 0;
}

static int make_sample(Sampler *sampler, Podmon__PodSample **ret)
{
    Podmon__PodSample *sample = malloc(sizeof(*sample));
    const CgroupTree *tree;
    int r = cgroup_tree_get(&tree, NULL);

    if (!sample)
        return -ENOMEM;
    podmon__pod_sample__init(sample);
    if (r >= 0)
        r = add_containers(sampler, tree, sample);
    if (r >= 0)
        r = add_pod(sampler, tree, sample);
    if (r < 0) {
        podmon__pod_sample__free_unpacked(sample, NULL);
        return r;
    }
    *ret = sample;
    return 0;
}

static void take_sample(void *data, uint32_t events)
{
    Sampler *sampler = data;
    Podmon__PodSample *sample = NULL;
    int r = make_sample(sampler, &sample);

    (void)events;
    set_deadline(sampler, clock_monotonic() + period_of(sampler->pod));
    if (r >= 0) {
        if (sampler->last)
            podmon__pod_sample__free_unpacked(sampler->last, NULL);
        sampler->last = sample;
        for (size_t i = 0; i < sample->n_containers; i++)
            measure_layer(sampler, sample->containers[i]);
        r = record_write_at(sampler->directory_fd, LAYOUT_SAMPLE, &sample->base, 0600,
                            FILE_SYNC_NO);
    }
    if (r < 0 && !sampler->complained)
        log_warning("what the pod uses could not be published: %s", strerror(-r));
    sampler->complained = r < 0;
}
