/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cri/metrics.h"

#include <string.h>

#include "dispatcher/cri/raise_stats.h"
#include "shared/clock.h"
#include "test/unit/test.h"

static char POD_ID[] = "pod", CONTAINER_ID[] = "container", NAME[] = "name", ETH0[] = "eth0";

typedef struct Example {
    Podmon__PodName name;
    Podmon__PodSpec pod_spec;
    Podmon__ImageUse image;
    Podmon__ContainerSpec spec;
    Podmon__ContainerRecord container;
    Podmon__ContainerRecord *containers[1];
    Podmon__PodRecord pod;
    Podmon__GroupSample group;
    Podmon__ContainerSample container_sample;
    Podmon__ContainerSample *container_samples[1];
    Podmon__InterfaceSample interface;
    Podmon__InterfaceSample *interfaces[1];
    Podmon__PodSample sample;
} Example;

/* A ready pod with a running container that has used 3 s of 2 s. */
static void make_example(Example *ret)
{
    podmon__pod_name__init(&ret->name);
    podmon__pod_spec__init(&ret->pod_spec);
    podmon__image_use__init(&ret->image);
    podmon__container_spec__init(&ret->spec);
    podmon__container_record__init(&ret->container);
    podmon__pod_record__init(&ret->pod);
    podmon__group_sample__init(&ret->group);
    podmon__container_sample__init(&ret->container_sample);
    podmon__interface_sample__init(&ret->interface);
    podmon__pod_sample__init(&ret->sample);
    ret->name.name = NAME;
    ret->pod_spec.id = POD_ID;
    ret->pod_spec.name = &ret->name;
    ret->spec.id = CONTAINER_ID;
    ret->spec.name = NAME;
    ret->spec.image = &ret->image;
    ret->container.spec = &ret->spec;
    ret->container.phase = PODMON__CONTAINER_PHASE__CONTAINER_RUNNING;
    ret->container.started_at = 7 * (int64_t)CLOCK_SECOND;
    ret->containers[0] = &ret->container;
    ret->pod.spec = &ret->pod_spec;
    ret->pod.phase = PODMON__POD_PHASE__POD_READY;
    ret->pod.containers = ret->containers;
    ret->pod.n_containers = 1;
    ret->group.taken_at = 9 * (int64_t)CLOCK_SECOND;
    ret->group.cpu_usage = 3 * CLOCK_SECOND;
    ret->group.memory_working_set = 1000;
    ret->group.memory_limit = 1500;
    ret->container_sample.id = CONTAINER_ID;
    ret->container_sample.group = &ret->group;
    ret->container_samples[0] = &ret->container_sample;
    ret->interface.name = ETH0;
    ret->interface.rx_bytes = 55;
    ret->interfaces[0] = &ret->interface;
    ret->sample.group = &ret->group;
    ret->sample.containers = ret->container_samples;
    ret->sample.n_containers = 1;
    ret->sample.interfaces = ret->interfaces;
    ret->sample.n_interfaces = 1;
    ret->sample.interfaces_taken_at = ret->group.taken_at;
}

static const Runtime__V1__Metric *find(Runtime__V1__Metric *const *metrics, size_t count,
                                       const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(metrics[i]->name, name) == 0)
            return metrics[i];
    return NULL;
}

TEST(each_metric_is_described_once_and_labelled_as_described)
{
    AUTO_ARENA Arena *arena = arena_new();
    Example example;
    Runtime__V1__MetricDescriptor **descriptors;
    const Runtime__V1__PodSandboxMetrics *metrics;
    size_t count;

    make_example(&example);
    descriptors = metrics_describe(arena, &count);
    metrics = metrics_of_pod(arena, &example.pod, &example.sample);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            CHECK(strcmp(descriptors[i]->name, descriptors[j]->name) != 0);
    for (size_t i = 0; i < metrics->n_metrics; i++) {
        bool found = false;

        for (size_t j = 0; j < count; j++)
            found = found || (strcmp(descriptors[j]->name, metrics->metrics[i]->name) == 0 &&
                              descriptors[j]->n_label_keys == metrics->metrics[i]->n_label_values);
        CHECK(found);
    }
}

TEST(units)
{
    AUTO_ARENA Arena *arena = arena_new();
    Example example;
    const Runtime__V1__PodSandboxMetrics *pod;
    const Runtime__V1__ContainerMetrics *container;
    const Runtime__V1__Metric *metric;

    make_example(&example);
    pod = metrics_of_pod(arena, &example.pod, &example.sample);
    CHECK_EQ(pod->n_container_metrics, 1);
    container = pod->container_metrics[0];
    metric = find(container->metrics, container->n_metrics, "container_cpu_usage_seconds_total");
    CHECK(metric);
    CHECK_EQ(metric->value->value, 3);
    metric = find(container->metrics, container->n_metrics, "container_start_time_seconds");
    CHECK(metric);
    CHECK_EQ(metric->value->value, 7);
    metric = find(pod->metrics, pod->n_metrics, "container_network_receive_bytes_total");
    CHECK(metric);
    CHECK_EQ(metric->value->value, 55);
    CHECK_STR(metric->label_values[metric->n_label_values - 1], "eth0");
    CHECK(!find(container->metrics, container->n_metrics, "container_network_receive_bytes_total"));
    CHECK(!find(container->metrics, container->n_metrics,
                "container_pressure_cpu_waiting_seconds_total"));
}

TEST(stats_of_a_container)
{
    AUTO_ARENA Arena *arena = arena_new();
    Example example;
    const Runtime__V1__ContainerStats *stats;

    make_example(&example);
    stats = raise_container_stats(arena, &example.container, &example.container_sample, "/disk");
    CHECK_EQ(stats->memory->available_bytes->value, 500);
    CHECK_EQ(stats->cpu->usage_core_nano_seconds->value, 3 * CLOCK_SECOND);
    CHECK(!stats->cpu->usage_nano_cores);
    CHECK(!stats->writable_layer);
    /* Not measured yet: nothing used, since the start. */
    stats = raise_container_stats(arena, &example.container, NULL, "/disk");
    CHECK_EQ(stats->cpu->timestamp, 7 * (int64_t)CLOCK_SECOND);
    CHECK_EQ(stats->cpu->usage_core_nano_seconds->value, 0);
    example.container.phase = PODMON__CONTAINER_PHASE__CONTAINER_EXITED;
    stats = raise_container_stats(arena, &example.container, NULL, "/disk");
    CHECK(!stats->cpu && !stats->memory);
}

TEST(stats_of_a_pod)
{
    AUTO_ARENA Arena *arena = arena_new();
    Example example;
    const Runtime__V1__PodSandboxStats *stats;

    make_example(&example);
    stats = raise_pod_stats(arena, &example.pod, &example.sample, "/disk");
    CHECK_STR(stats->linux->network->default_interface->name, "eth0");
    CHECK_EQ(stats->linux->n_containers, 1);
    example.sample.interfaces_taken_at = 0; /* the host's network */
    stats = raise_pod_stats(arena, &example.pod, &example.sample, "/disk");
    CHECK(!stats->linux->network);
    stats = raise_pod_stats(arena, &example.pod, NULL, "/disk");
    CHECK(!stats->linux->cpu);
}

TEST_MAIN
