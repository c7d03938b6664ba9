/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cri/raise_stats.h"

#include <string.h>

#include "dispatcher/cri/map.h"
#include "dispatcher/cri/raise.h"
#include "dispatcher/pods/samples.h"

/* What clients take for the pod's own interface, where there is one of the name. */
static const char DEFAULT_INTERFACE[] = "eth0";

static Runtime__V1__UInt64Value *raise_number(Arena *arena, uint64_t number)
{
    Runtime__V1__UInt64Value *value = arena_alloc(arena, sizeof(*value));

    runtime__v1__uint64_value__init(value);
    value->value = number;
    return value;
}

static Runtime__V1__PsiData *raise_stall(Arena *arena, const Podmon__StallSample *from)
{
    Runtime__V1__PsiData *data = arena_alloc(arena, sizeof(*data));

    runtime__v1__psi_data__init(data);
    if (!from)
        return data;
    data->total = from->total;
    data->avg10 = from->average_10;
    data->avg60 = from->average_60;
    data->avg300 = from->average_300;
    return data;
}

static Runtime__V1__PsiStats *raise_pressure(Arena *arena, const Podmon__PressureSample *from)
{
    Runtime__V1__PsiStats *stats;

    if (!from)
        return NULL;
    stats = arena_alloc(arena, sizeof(*stats));
    runtime__v1__psi_stats__init(stats);
    stats->some = raise_stall(arena, from->some);
    stats->full = raise_stall(arena, from->full);
    return stats;
}

static Runtime__V1__CpuUsage *raise_cpu(Arena *arena, const Podmon__GroupSample *from)
{
    Runtime__V1__CpuUsage *cpu = arena_alloc(arena, sizeof(*cpu));

    runtime__v1__cpu_usage__init(cpu);
    cpu->timestamp = from->cpu_taken_at > 0 ? from->cpu_taken_at : from->taken_at;
    cpu->usage_core_nano_seconds = raise_number(arena, from->cpu_usage);
    if (from->cpu_rate_known)
        cpu->usage_nano_cores = raise_number(arena, from->cpu_rate);
    cpu->psi = raise_pressure(arena, from->cpu_pressure);
    return cpu;
}

static uint64_t remaining(uint64_t limit, uint64_t used)
{
    return limit > used ? limit - used : 0;
}

static Runtime__V1__MemoryUsage *raise_memory(Arena *arena, const Podmon__GroupSample *from)
{
    Runtime__V1__MemoryUsage *memory = arena_alloc(arena, sizeof(*memory));

    runtime__v1__memory_usage__init(memory);
    memory->timestamp = from->taken_at;
    memory->working_set_bytes = raise_number(arena, from->memory_working_set);
    if (from->memory_limit > 0)
        memory->available_bytes =
            raise_number(arena, remaining(from->memory_limit, from->memory_working_set));
    memory->usage_bytes = raise_number(arena, from->memory_usage);
    memory->rss_bytes = raise_number(arena, from->memory_rss);
    memory->page_faults = raise_number(arena, from->page_faults);
    memory->major_page_faults = raise_number(arena, from->major_page_faults);
    memory->psi = raise_pressure(arena, from->memory_pressure);
    return memory;
}

static Runtime__V1__SwapUsage *raise_swap(Arena *arena, const Podmon__GroupSample *from)
{
    Runtime__V1__SwapUsage *swap = arena_alloc(arena, sizeof(*swap));

    runtime__v1__swap_usage__init(swap);
    swap->timestamp = from->taken_at;
    if (from->swap_limit > 0)
        swap->swap_available_bytes =
            raise_number(arena, remaining(from->swap_limit, from->swap_usage));
    swap->swap_usage_bytes = raise_number(arena, from->swap_usage);
    return swap;
}

static Runtime__V1__IoUsage *raise_io(Arena *arena, const Podmon__GroupSample *from)
{
    Runtime__V1__IoUsage *io = arena_alloc(arena, sizeof(*io));

    runtime__v1__io_usage__init(io);
    io->timestamp = from->taken_at;
    io->psi = raise_pressure(arena, from->io_pressure);
    return io;
}

static Runtime__V1__FilesystemUsage *raise_layer(Arena *arena, const Podmon__LayerSample *from,
                                                 const char *file_system)
{
    Runtime__V1__FilesystemUsage *usage = arena_alloc(arena, sizeof(*usage));

    runtime__v1__filesystem_usage__init(usage);
    usage->timestamp = from->taken_at;
    usage->fs_id = arena_alloc(arena, sizeof(*usage->fs_id));
    runtime__v1__filesystem_identifier__init(usage->fs_id);
    usage->fs_id->mountpoint = (char *)(uintptr_t)file_system;
    usage->used_bytes = raise_number(arena, from->bytes);
    usage->inodes_used = raise_number(arena, from->inodes);
    return usage;
}

static Runtime__V1__ContainerAttributes *raise_attributes(Arena *arena,
                                                          const Podmon__ContainerSpec *spec)
{
    Runtime__V1__ContainerAttributes *attributes = arena_alloc(arena, sizeof(*attributes));

    runtime__v1__container_attributes__init(attributes);
    attributes->id = spec->id;
    attributes->metadata = raise_container_name(arena, spec);
    attributes->n_labels = spec->n_labels;
    attributes->labels =
        map_from_pairs(arena, &runtime__v1__container_attributes__labels_entry__descriptor,
                       spec->labels, spec->n_labels);
    attributes->n_annotations = spec->n_annotations;
    attributes->annotations =
        map_from_pairs(arena, &runtime__v1__container_attributes__annotations_entry__descriptor,
                       spec->annotations, spec->n_annotations);
    return attributes;
}

Runtime__V1__ContainerStats *raise_container_stats(Arena *arena,
                                                   const Podmon__ContainerRecord *container,
                                                   const Podmon__ContainerSample *sample,
                                                   const char *file_system)
{
    Runtime__V1__ContainerStats *stats = arena_alloc(arena, sizeof(*stats));
    Podmon__GroupSample nothing = PODMON__GROUP_SAMPLE__INIT;
    const Podmon__GroupSample *group = sample ? sample->group : &nothing;

    runtime__v1__container_stats__init(stats);
    stats->attributes = raise_attributes(arena, container->spec);
    if (sample && sample->layer)
        stats->writable_layer = raise_layer(arena, sample->layer, file_system);
    if (container->phase != PODMON__CONTAINER_PHASE__CONTAINER_RUNNING)
        return stats;
    nothing.taken_at = container->started_at;
    stats->cpu = raise_cpu(arena, group);
    stats->memory = raise_memory(arena, group);
    stats->swap = raise_swap(arena, group);
    stats->io = raise_io(arena, group);
    return stats;
}

static Runtime__V1__NetworkInterfaceUsage *raise_interface(Arena *arena,
                                                           const Podmon__InterfaceSample *from)
{
    Runtime__V1__NetworkInterfaceUsage *usage = arena_alloc(arena, sizeof(*usage));

    runtime__v1__network_interface_usage__init(usage);
    usage->name = from->name;
    usage->rx_bytes = raise_number(arena, from->rx_bytes);
    usage->rx_errors = raise_number(arena, from->rx_errors);
    usage->tx_bytes = raise_number(arena, from->tx_bytes);
    usage->tx_errors = raise_number(arena, from->tx_errors);
    return usage;
}

/* The first interface is the default one if none has the usual name. */
static Runtime__V1__NetworkUsage *raise_network(Arena *arena, const Podmon__PodSample *from)
{
    Runtime__V1__NetworkUsage *network = arena_alloc(arena, sizeof(*network));

    runtime__v1__network_usage__init(network);
    network->timestamp = from->interfaces_taken_at;
    network->interfaces =
        arena_alloc_array(arena, from->n_interfaces, sizeof(Runtime__V1__NetworkInterfaceUsage *));
    for (size_t i = 0; i < from->n_interfaces; i++) {
        Runtime__V1__NetworkInterfaceUsage *usage = raise_interface(arena, from->interfaces[i]);

        network->interfaces[network->n_interfaces++] = usage;
        if (i == 0 || strcmp(usage->name, DEFAULT_INTERFACE) == 0)
            network->default_interface = usage;
    }
    return network;
}

static Runtime__V1__ProcessUsage *raise_processes(Arena *arena, const Podmon__GroupSample *from)
{
    Runtime__V1__ProcessUsage *usage = arena_alloc(arena, sizeof(*usage));

    runtime__v1__process_usage__init(usage);
    usage->timestamp = from->taken_at;
    usage->process_count = raise_number(arena, from->tasks);
    return usage;
}

static Runtime__V1__PodSandboxAttributes *raise_pod_attributes(Arena *arena,
                                                               const Podmon__PodSpec *spec)
{
    Runtime__V1__PodSandboxAttributes *attributes = arena_alloc(arena, sizeof(*attributes));

    runtime__v1__pod_sandbox_attributes__init(attributes);
    attributes->id = spec->id;
    attributes->metadata = raise_pod_name(arena, spec->name);
    attributes->n_labels = spec->n_labels;
    attributes->labels =
        map_from_pairs(arena, &runtime__v1__pod_sandbox_attributes__labels_entry__descriptor,
                       spec->labels, spec->n_labels);
    attributes->n_annotations = spec->n_annotations;
    attributes->annotations =
        map_from_pairs(arena, &runtime__v1__pod_sandbox_attributes__annotations_entry__descriptor,
                       spec->annotations, spec->n_annotations);
    return attributes;
}

Runtime__V1__PodSandboxStats *raise_pod_stats(Arena *arena, const Podmon__PodRecord *pod,
                                              const Podmon__PodSample *sample,
                                              const char *file_system)
{
    Runtime__V1__PodSandboxStats *stats = arena_alloc(arena, sizeof(*stats));
    Runtime__V1__LinuxPodSandboxStats *usage = arena_alloc(arena, sizeof(*usage));

    runtime__v1__pod_sandbox_stats__init(stats);
    runtime__v1__linux_pod_sandbox_stats__init(usage);
    stats->attributes = raise_pod_attributes(arena, pod->spec);
    stats->linux = usage;
    if (sample && pod->phase == PODMON__POD_PHASE__POD_READY) {
        usage->cpu = raise_cpu(arena, sample->group);
        usage->memory = raise_memory(arena, sample->group);
        usage->process = raise_processes(arena, sample->group);
        usage->io = raise_io(arena, sample->group);
        if (sample->interfaces_taken_at > 0)
            usage->network = raise_network(arena, sample);
    }
    usage->containers =
        arena_alloc_array(arena, pod->n_containers, sizeof(Runtime__V1__ContainerStats *));
    for (size_t i = 0; i < pod->n_containers; i++) {
        const Podmon__ContainerRecord *container = pod->containers[i];

        if (container->phase == PODMON__CONTAINER_PHASE__CONTAINER_RUNNING)
            usage->containers[usage->n_containers++] = raise_container_stats(
                arena, container, samples_find(sample, container->spec->id), file_system);
    }
    return stats;
}
