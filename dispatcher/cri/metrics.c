/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cri/metrics.h"

#include <stdbool.h>
#include <stddef.h>

#include "dispatcher/pods/samples.h"

/* Where a metric's number is found. */
typedef enum Source {
    SOURCE_GROUP,     /* GroupSample; `offset` of a uint64_t */
    SOURCE_PRESSURE,  /* GroupSample; `offset` of a PressureSample, `part` of a line in it */
    SOURCE_LIMIT,     /* Resources; `offset` of an int64_t */
    SOURCE_RECORD,    /* ContainerRecord; `offset` of an int64_t */
    SOURCE_LAYER,     /* LayerSample */
    SOURCE_INTERFACE, /* InterfaceSample; once per interface, of pods only */
} Source;

typedef struct MetricRow {
    const char *name, *help;
    Runtime__V1__MetricType type;
    Source source;
    size_t offset, part;
    uint64_t divisor; /* 0: none */
    const char *extra_key[2];
    const char *extra_value[2]; /* NULL: the interface's name */
} MetricRow;

/* What every metric is labelled with; extra keys follow. */
static const char *const LABELS[] = {"container", "id", "image", "name", "namespace", "pod"};

enum {
    LABELS_COUNT = sizeof(LABELS) / sizeof(LABELS[0]),
    LABELS_MAX = LABELS_COUNT + 2,
};

#define NANOSECONDS UINT64_C(1000000000)
#define MICROSECONDS UINT64_C(1000000)
#define COUNTER RUNTIME__V1__METRIC_TYPE__COUNTER
#define GAUGE RUNTIME__V1__METRIC_TYPE__GAUGE
#define GROUP(kind, member, unit)                                                                  \
    .type = (kind), .source = SOURCE_GROUP, .offset = offsetof(Podmon__GroupSample, member),       \
    .divisor = (unit)
#define PRESSURE(member, line)                                                                     \
    .type = COUNTER, .source = SOURCE_PRESSURE, .offset = offsetof(Podmon__GroupSample, member),   \
    .part = offsetof(Podmon__PressureSample, line), .divisor = MICROSECONDS
#define LAYER(member)                                                                              \
    .type = GAUGE, .source = SOURCE_LAYER, .offset = offsetof(Podmon__LayerSample, member)
#define LIMIT(member)                                                                              \
    .type = GAUGE, .source = SOURCE_LIMIT, .offset = offsetof(Podmon__Resources, member)
#define RECORD(member, unit)                                                                       \
    .type = GAUGE, .source = SOURCE_RECORD, .offset = offsetof(Podmon__ContainerRecord, member),   \
    .divisor = (unit)
#define INTERFACE(member)                                                                          \
    .type = COUNTER, .source = SOURCE_INTERFACE,                                                   \
    .offset = offsetof(Podmon__InterfaceSample, member), .extra_key[0] = "interface"
#define LABEL(position, key, value) .extra_key[position] = (key), .extra_value[position] = (value)
#define DEVICE LABEL(0, "device", "")
#define FAULTS(kind) LABEL(0, "failure_type", kind), LABEL(1, "scope", "hierarchy")

static const MetricRow ROWS[] = {
    {"container_cpu_usage_seconds_total",
     "Processor time used, in seconds.",
     GROUP(COUNTER, cpu_usage, NANOSECONDS),
     {"cpu", NULL},
     {"total", NULL}},
    {"container_cpu_user_seconds_total", "Processor time used by programs, in seconds.",
     GROUP(COUNTER, cpu_user, NANOSECONDS)},
    {"container_cpu_system_seconds_total", "Processor time used by the kernel, in seconds.",
     GROUP(COUNTER, cpu_system, NANOSECONDS)},
    {"container_cpu_cfs_periods_total", "Periods in which the processor quota was enforced.",
     GROUP(COUNTER, cpu_periods, 0)},
    {"container_cpu_cfs_throttled_periods_total", "Periods in which the quota was used up.",
     GROUP(COUNTER, cpu_throttled_periods, 0)},
    {"container_cpu_cfs_throttled_seconds_total", "Time spent waiting for quota, in seconds.",
     GROUP(COUNTER, cpu_throttled_time, NANOSECONDS)},
    {"container_memory_usage_bytes", "Memory in use, page cache included.",
     GROUP(GAUGE, memory_usage, 0)},
    {"container_memory_working_set_bytes", "Memory in use that cannot be won back easily.",
     GROUP(GAUGE, memory_working_set, 0)},
    {"container_memory_rss", "Anonymous memory, in bytes.", GROUP(GAUGE, memory_rss, 0)},
    {"container_memory_cache", "Page cache, in bytes.", GROUP(GAUGE, memory_cache, 0)},
    {"container_memory_mapped_file", "Mapped files, in bytes.", GROUP(GAUGE, memory_mapped, 0)},
    {"container_memory_kernel_usage", "Memory of the kernel, in bytes.",
     GROUP(GAUGE, memory_kernel, 0)},
    {"container_memory_max_usage_bytes", "The most memory that was ever in use.",
     GROUP(GAUGE, memory_peak, 0)},
    {"container_memory_failcnt", "How often the memory limit was hit.",
     GROUP(COUNTER, memory_limit_hits, 0)},
    {"container_memory_swap", "Swap in use, in bytes.", GROUP(GAUGE, swap_usage, 0)},
    {"container_memory_failures_total", "Page faults.", GROUP(COUNTER, page_faults, 0),
     FAULTS("pgfault")},
    {"container_memory_failures_total", "Page faults.", GROUP(COUNTER, major_page_faults, 0),
     FAULTS("pgmajfault")},
    {"container_oom_events_total", "Processes that the kernel killed for memory.",
     GROUP(COUNTER, oom_kills, 0)},
    {"container_threads", "Threads.", GROUP(GAUGE, tasks, 0)},
    {"container_threads_max", "The most threads allowed; 0: no limit.",
     GROUP(GAUGE, tasks_limit, 0)},
    {"container_fs_reads_total", "Reads from block devices.", GROUP(COUNTER, reads, 0), DEVICE},
    {"container_fs_writes_total", "Writes to block devices.", GROUP(COUNTER, writes, 0), DEVICE},
    {"container_fs_reads_bytes_total", "Bytes read from block devices.",
     GROUP(COUNTER, read_bytes, 0), DEVICE},
    {"container_fs_writes_bytes_total", "Bytes written to block devices.",
     GROUP(COUNTER, written_bytes, 0), DEVICE},
    {"container_fs_usage_bytes", "Bytes in the writable layer.", LAYER(bytes), DEVICE},
    {"container_pressure_cpu_waiting_seconds_total", "Time in which some task waited for the CPU.",
     PRESSURE(cpu_pressure, some)},
    {"container_pressure_cpu_stalled_seconds_total", "Time in which all tasks waited for the CPU.",
     PRESSURE(cpu_pressure, full)},
    {"container_pressure_memory_waiting_seconds_total",
     "Time in which some task waited for memory.", PRESSURE(memory_pressure, some)},
    {"container_pressure_memory_stalled_seconds_total",
     "Time in which all tasks waited for memory.", PRESSURE(memory_pressure, full)},
    {"container_pressure_io_waiting_seconds_total", "Time in which some task waited for a disk.",
     PRESSURE(io_pressure, some)},
    {"container_pressure_io_stalled_seconds_total", "Time in which all tasks waited for a disk.",
     PRESSURE(io_pressure, full)},
    {"container_spec_cpu_period", "The period of the processor quota, in microseconds.",
     LIMIT(cpu_period)},
    {"container_spec_cpu_quota", "The processor quota, in microseconds per period.",
     LIMIT(cpu_quota)},
    {"container_spec_cpu_shares", "The share of the processor.", LIMIT(cpu_shares)},
    {"container_spec_memory_limit_bytes", "The memory limit.", LIMIT(memory_limit)},
    {"container_spec_memory_swap_limit_bytes", "The limit of memory and swap together.",
     LIMIT(memory_swap_limit)},
    {"container_start_time_seconds", "When it started, in seconds since 1970.",
     RECORD(started_at, NANOSECONDS)},
    {"container_network_receive_bytes_total", "Bytes received.", INTERFACE(rx_bytes)},
    {"container_network_receive_packets_total", "Packets received.", INTERFACE(rx_packets)},
    {"container_network_receive_packets_dropped_total", "Packets dropped when received.",
     INTERFACE(rx_dropped)},
    {"container_network_receive_errors_total", "Errors in receiving.", INTERFACE(rx_errors)},
    {"container_network_transmit_bytes_total", "Bytes sent.", INTERFACE(tx_bytes)},
    {"container_network_transmit_packets_total", "Packets sent.", INTERFACE(tx_packets)},
    {"container_network_transmit_packets_dropped_total", "Packets dropped when sent.",
     INTERFACE(tx_dropped)},
    {"container_network_transmit_errors_total", "Errors in sending.", INTERFACE(tx_errors)},
};

enum { ROWS_COUNT = sizeof(ROWS) / sizeof(ROWS[0]), INTERFACES_MAX = 256 };

static char *share(const char *text)
{
    return (char *)(uintptr_t)text;
}

static bool same_name(size_t row)
{
    /* cppcheck-suppress arrayIndexOutOfBoundsCond ; callers stop at the last row */
    return row > 0 && ROWS[row].name == ROWS[row - 1].name;
}

Runtime__V1__MetricDescriptor **metrics_describe(Arena *arena, size_t *ret_count)
{
    Runtime__V1__MetricDescriptor **list =
        arena_alloc_array(arena, ROWS_COUNT, sizeof(Runtime__V1__MetricDescriptor *));
    size_t count = 0;

    for (size_t i = 0; i < ROWS_COUNT; i++) {
        Runtime__V1__MetricDescriptor *descriptor;

        if (same_name(i))
            continue;
        descriptor = arena_alloc(arena, sizeof(*descriptor));
        runtime__v1__metric_descriptor__init(descriptor);
        descriptor->name = share(ROWS[i].name);
        descriptor->help = share(ROWS[i].help);
        descriptor->label_keys = arena_alloc_array(arena, LABELS_MAX, sizeof(char *));
        for (size_t j = 0; j < LABELS_COUNT; j++)
            descriptor->label_keys[descriptor->n_label_keys++] = share(LABELS[j]);
        for (size_t j = 0; j < 2 && ROWS[i].extra_key[j]; j++)
            descriptor->label_keys[descriptor->n_label_keys++] = share(ROWS[i].extra_key[j]);
        list[count++] = descriptor;
    }
    *ret_count = count;
    return list;
}

/* Whom the metrics are of. */
typedef struct Subject {
    const char *labels[LABELS_COUNT]; /* as LABELS */
    const Podmon__GroupSample *group;
    const Podmon__LayerSample *layer;         /* NULL: not measured */
    const Podmon__ContainerRecord *container; /* NULL: the pod */
    const Podmon__PodSample *pod;             /* NULL: a container */
} Subject;

static const void *part_of(const void *object, size_t offset)
{
    return (const char *)object + offset;
}

/* Is there such a number? */
static bool find_number(const MetricRow *row, const Subject *subject, uint64_t *ret)
{
    const Podmon__PressureSample *pressure;
    const Podmon__StallSample *stall;
    int64_t number;

    switch (row->source) {
    case SOURCE_GROUP:
        *ret = *(const uint64_t *)part_of(subject->group, row->offset);
        return true;
    case SOURCE_PRESSURE:
        pressure = *(Podmon__PressureSample *const *)part_of(subject->group, row->offset);
        stall = pressure ? *(Podmon__StallSample *const *)part_of(pressure, row->part) : NULL;
        *ret = stall ? stall->total : 0;
        return stall != NULL;
    case SOURCE_LIMIT:
        if (!subject->container || !subject->container->spec->resources)
            return false;
        number = *(const int64_t *)part_of(subject->container->spec->resources, row->offset);
        break;
    case SOURCE_RECORD:
        if (!subject->container)
            return false;
        number = *(const int64_t *)part_of(subject->container, row->offset);
        break;
    case SOURCE_LAYER:
        *ret = subject->layer ? *(const uint64_t *)part_of(subject->layer, row->offset) : 0;
        return subject->layer != NULL;
    case SOURCE_INTERFACE:
    default:
        return false;
    }
    *ret = (uint64_t)number;
    return number > 0;
}

static Runtime__V1__Metric *make_metric(Arena *arena, const MetricRow *row, const Subject *subject,
                                        uint64_t number, const char *interface)
{
    Runtime__V1__Metric *metric = arena_alloc(arena, sizeof(*metric));

    runtime__v1__metric__init(metric);
    metric->name = share(row->name);
    metric->metric_type = row->type;
    metric->timestamp = subject->group->taken_at;
    metric->label_values = arena_alloc_array(arena, LABELS_MAX, sizeof(char *));
    for (size_t i = 0; i < LABELS_COUNT; i++)
        metric->label_values[metric->n_label_values++] = share(subject->labels[i]);
    for (size_t i = 0; i < 2 && row->extra_key[i]; i++)
        metric->label_values[metric->n_label_values++] =
            share(row->extra_value[i] ? row->extra_value[i] : interface);
    metric->value = arena_alloc(arena, sizeof(*metric->value));
    runtime__v1__uint64_value__init(metric->value);
    metric->value->value = row->divisor ? number / row->divisor : number;
    return metric;
}

static Runtime__V1__Metric **make_metrics(Arena *arena, const Subject *subject, size_t *ret_count)
{
    size_t interfaces = subject->pod ? subject->pod->n_interfaces : 0;
    Runtime__V1__Metric **list;
    size_t count = 0;

    if (interfaces > INTERFACES_MAX)
        interfaces = INTERFACES_MAX;
    list = arena_alloc_array(arena, ROWS_COUNT * (1 + interfaces), sizeof(*list));
    for (size_t i = 0; i < ROWS_COUNT; i++) {
        const MetricRow *row = &ROWS[i];
        uint64_t number;

        if (find_number(row, subject, &number))
            list[count++] = make_metric(arena, row, subject, number, "");
        for (size_t j = 0; row->source == SOURCE_INTERFACE && j < interfaces; j++) {
            const Podmon__InterfaceSample *interface = subject->pod->interfaces[j];

            number = *(const uint64_t *)part_of(interface, row->offset);
            list[count++] = make_metric(arena, row, subject, number, interface->name);
        }
    }
    *ret_count = count;
    return list;
}

static Runtime__V1__ContainerMetrics *container_metrics(Arena *arena, const Podmon__PodRecord *pod,
                                                        const Podmon__ContainerRecord *container,
                                                        const Podmon__ContainerSample *sample)
{
    Runtime__V1__ContainerMetrics *metrics = arena_alloc(arena, sizeof(*metrics));
    const Podmon__ContainerSpec *spec = container->spec;
    const Podmon__PodName *name = pod->spec->name;
    const Subject subject = {
        {spec->name, container->cgroup, spec->image->name, spec->id, name->namespace_, name->name},
        sample->group,
        sample->layer,
        container,
        NULL,
    };

    runtime__v1__container_metrics__init(metrics);
    metrics->container_id = spec->id;
    metrics->metrics = make_metrics(arena, &subject, &metrics->n_metrics);
    return metrics;
}

Runtime__V1__PodSandboxMetrics *metrics_of_pod(Arena *arena, const Podmon__PodRecord *pod,
                                               const Podmon__PodSample *sample)
{
    Runtime__V1__PodSandboxMetrics *metrics = arena_alloc(arena, sizeof(*metrics));
    const Podmon__PodName *name = pod->spec->name;
    const Subject subject = {
        {"", pod->cgroup, "", pod->spec->id, name->namespace_, name->name},
        sample->group,
        NULL,
        NULL,
        sample,
    };

    runtime__v1__pod_sandbox_metrics__init(metrics);
    metrics->pod_sandbox_id = pod->spec->id;
    metrics->metrics = make_metrics(arena, &subject, &metrics->n_metrics);
    metrics->container_metrics =
        arena_alloc_array(arena, pod->n_containers, sizeof(Runtime__V1__ContainerMetrics *));
    for (size_t i = 0; i < pod->n_containers; i++) {
        const Podmon__ContainerRecord *container = pod->containers[i];
        const Podmon__ContainerSample *found = samples_find(sample, container->spec->id);

        if (found && container->phase == PODMON__CONTAINER_PHASE__CONTAINER_RUNNING)
            metrics->container_metrics[metrics->n_container_metrics++] =
                container_metrics(arena, pod, container, found);
    }
    return metrics;
}
