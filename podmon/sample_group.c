/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/sample_group.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/text.h"

/* Above it a limit of v1, which counts pages in a signed number, means none. */
static const uint64_t UNLIMITED = UINT64_C(1) << 62;

enum { NANOSECONDS_PER_MICROSECOND = 1000, NANOSECONDS_PER_TICK = 10000000 };

/* ---- texts */

uint64_t sample_number(const char *text, const char *key)
{
    size_t size = strlen(key);

    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, size) == 0 && line[size] == ' ')
            return strtoull(line + size + 1, NULL, 10);
    }
    return 0;
}

static Podmon__StallSample *parse_stall(const char *line, const char *word)
{
    Podmon__StallSample stall = PODMON__STALL_SAMPLE__INIT, *copy;
    char format[80];

    (void)snprintf(format, sizeof(format), "%s avg10=%%lf avg60=%%lf avg300=%%lf total=%%" SCNu64,
                   word);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    if (sscanf(line, format, &stall.average_10, &stall.average_60, &stall.average_300,
               &stall.total) != 4)
        return NULL;
#pragma GCC diagnostic pop
    copy = malloc(sizeof(*copy));
    if (copy)
        *copy = stall;
    return copy;
}

Podmon__PressureSample *sample_pressure(const char *text)
{
    const char *full = strstr(text, "\nfull ");
    Podmon__PressureSample *pressure = malloc(sizeof(*pressure));

    if (!pressure)
        return NULL;
    podmon__pressure_sample__init(pressure);
    pressure->some = parse_stall(text, "some");
    pressure->full = full ? parse_stall(full + 1, "full") : NULL;
    if (!pressure->some) {
        podmon__pressure_sample__free_unpacked(pressure, NULL);
        return NULL;
    }
    return pressure;
}

/* Sums up what stands behind "key=" in each line. */
static uint64_t sum_of(const char *text, const char *key)
{
    uint64_t sum = 0;

    for (const char *at = strstr(text, key); at; at = strstr(at, key)) {
        at += strlen(key);
        sum += strtoull(at, NULL, 10);
    }
    return sum;
}

void sample_io_v2(const char *text, Podmon__GroupSample *ret)
{
    ret->read_bytes = sum_of(text, " rbytes=");
    ret->written_bytes = sum_of(text, " wbytes=");
    ret->reads = sum_of(text, " rios=");
    ret->writes = sum_of(text, " wios=");
}

void sample_io_v1(const char *text, uint64_t *ret_reads, uint64_t *ret_writes)
{
    *ret_reads = sum_of(text, " Read ");
    *ret_writes = sum_of(text, " Write ");
}

/* ---- files */

typedef struct Group {
    const CgroupTree *tree;
    const char *path;
} Group;

/* NULL: the machine does not have it. */
static char *read_text(const Group *group, CgroupController controller, const char *file)
{
    const CgroupHierarchy *hierarchy = cgroup_tree_find(group->tree, controller);
    char *text = NULL;

    if (!hierarchy || cgroup_get(hierarchy, group->path, file, &text) < 0)
        return NULL;
    return text;
}

/* So that whoever shows the sample can bring its counter of processor time up to date. */
static void name_cpu_file(const Group *group, CgroupController controller, const char *file,
                          Podmon__GroupSample *ret)
{
    const CgroupHierarchy *hierarchy = cgroup_tree_find(group->tree, controller);
    char place[PATH_MAX], *copy;

    if (!hierarchy || cgroup_place(hierarchy, group->path, strlen(group->path), file, place) < 0)
        return;
    copy = strdup(place);
    if (copy)
        ret->cpu_file = copy;
}

static uint64_t read_value(const Group *group, CgroupController controller, const char *file)
{
    AUTO_FREE char *text = read_text(group, controller, file);

    return text ? strtoull(text, NULL, 10) : 0; /* "max" is 0 too: no limit */
}

static uint64_t read_limit(const Group *group, CgroupController controller, const char *file)
{
    uint64_t value = read_value(group, controller, file);

    return value < UNLIMITED ? value : 0;
}

static uint64_t read_keyed(const Group *group, CgroupController controller, const char *file,
                           const char *key)
{
    AUTO_FREE char *text = read_text(group, controller, file);

    return text ? sample_number(text, key) : 0;
}

static void read_cpu_v2(const Group *group, Podmon__GroupSample *ret)
{
    AUTO_FREE char *text = read_text(group, CGROUP_CPU, "cpu.stat");

    if (!text)
        return;
    name_cpu_file(group, CGROUP_CPU, "cpu.stat", ret);
    ret->cpu_usage = sample_number(text, "usage_usec") * NANOSECONDS_PER_MICROSECOND;
    ret->cpu_user = sample_number(text, "user_usec") * NANOSECONDS_PER_MICROSECOND;
    ret->cpu_system = sample_number(text, "system_usec") * NANOSECONDS_PER_MICROSECOND;
    ret->cpu_periods = sample_number(text, "nr_periods");
    ret->cpu_throttled_periods = sample_number(text, "nr_throttled");
    ret->cpu_throttled_time = sample_number(text, "throttled_usec") * NANOSECONDS_PER_MICROSECOND;
}

static void read_cpu_v1(const Group *group, Podmon__GroupSample *ret)
{
    AUTO_FREE char *times = read_text(group, CGROUP_CPUACCT, "cpuacct.stat");
    AUTO_FREE char *text = read_text(group, CGROUP_CPU, "cpu.stat");

    name_cpu_file(group, CGROUP_CPUACCT, "cpuacct.usage", ret);
    ret->cpu_usage = read_value(group, CGROUP_CPUACCT, "cpuacct.usage");
    if (times) {
        ret->cpu_user = sample_number(times, "user") * NANOSECONDS_PER_TICK;
        ret->cpu_system = sample_number(times, "system") * NANOSECONDS_PER_TICK;
    }
    if (text) {
        ret->cpu_periods = sample_number(text, "nr_periods");
        ret->cpu_throttled_periods = sample_number(text, "nr_throttled");
        ret->cpu_throttled_time = sample_number(text, "throttled_time");
    }
}

/* What is in use and cannot be given back at once: the kubelet evicts by it. */
static uint64_t working_set(uint64_t usage, uint64_t inactive_file)
{
    return usage > inactive_file ? usage - inactive_file : 0;
}

static void read_memory_v2(const Group *group, Podmon__GroupSample *ret)
{
    AUTO_FREE char *text = read_text(group, CGROUP_MEMORY, "memory.stat");

    ret->memory_usage = read_value(group, CGROUP_MEMORY, "memory.current");
    ret->memory_peak = read_value(group, CGROUP_MEMORY, "memory.peak");
    ret->memory_limit = read_limit(group, CGROUP_MEMORY, "memory.max");
    ret->memory_limit_hits = read_keyed(group, CGROUP_MEMORY, "memory.events", "max");
    ret->oom_kills = read_keyed(group, CGROUP_MEMORY, "memory.events", "oom_kill");
    ret->swap_usage = read_value(group, CGROUP_MEMORY, "memory.swap.current");
    ret->swap_limit = read_limit(group, CGROUP_MEMORY, "memory.swap.max");
    if (!text)
        return;
    ret->memory_working_set = working_set(ret->memory_usage, sample_number(text, "inactive_file"));
    ret->memory_rss = sample_number(text, "anon");
    ret->memory_cache = sample_number(text, "file");
    ret->memory_mapped = sample_number(text, "file_mapped");
    ret->memory_kernel = sample_number(text, "kernel");
    ret->page_faults = sample_number(text, "pgfault");
    ret->major_page_faults = sample_number(text, "pgmajfault");
}

static void read_memory_v1(const Group *group, Podmon__GroupSample *ret)
{
    AUTO_FREE char *text = read_text(group, CGROUP_MEMORY, "memory.stat");
    uint64_t both = read_limit(group, CGROUP_MEMORY, "memory.memsw.limit_in_bytes");

    ret->memory_usage = read_value(group, CGROUP_MEMORY, "memory.usage_in_bytes");
    ret->memory_peak = read_value(group, CGROUP_MEMORY, "memory.max_usage_in_bytes");
    ret->memory_limit = read_limit(group, CGROUP_MEMORY, "memory.limit_in_bytes");
    ret->memory_limit_hits = read_value(group, CGROUP_MEMORY, "memory.failcnt");
    ret->memory_kernel = read_value(group, CGROUP_MEMORY, "memory.kmem.usage_in_bytes");
    ret->oom_kills = read_keyed(group, CGROUP_MEMORY, "memory.oom_control", "oom_kill");
    ret->swap_limit = both > ret->memory_limit ? both - ret->memory_limit : 0;
    if (!text)
        return;
    ret->memory_working_set =
        working_set(ret->memory_usage, sample_number(text, "total_inactive_file"));
    ret->memory_rss = sample_number(text, "total_rss");
    ret->memory_cache = sample_number(text, "total_cache");
    ret->memory_mapped = sample_number(text, "total_mapped_file");
    ret->swap_usage = sample_number(text, "total_swap");
    ret->page_faults = sample_number(text, "total_pgfault");
    ret->major_page_faults = sample_number(text, "total_pgmajfault");
}

static void read_io(const Group *group, Podmon__GroupSample *ret)
{
    AUTO_FREE char *text = NULL, *counts = NULL;

    if (group->tree->layout == CGROUP_LAYOUT_V2) {
        text = read_text(group, CGROUP_IO, "io.stat");
        if (text)
            sample_io_v2(text, ret);
        return;
    }
    text = read_text(group, CGROUP_IO, "blkio.throttle.io_service_bytes");
    counts = read_text(group, CGROUP_IO, "blkio.throttle.io_serviced");
    if (text)
        sample_io_v1(text, &ret->read_bytes, &ret->written_bytes);
    if (counts)
        sample_io_v1(counts, &ret->reads, &ret->writes);
}

/* Hybrid machines have it too: it needs the v2 hierarchy, and no controller of it. */
static Podmon__PressureSample *read_pressure(const Group *group, const char *file)
{
    const CgroupHierarchy *hierarchy = cgroup_tree_v2(group->tree);
    AUTO_FREE char *text = NULL;

    if (!hierarchy || cgroup_get(hierarchy, group->path, file, &text) < 0)
        return NULL;
    return sample_pressure(text);
}

Podmon__GroupSample *sample_group(const CgroupTree *tree, const char *path)
{
    const Group group = {tree, path};
    Podmon__GroupSample *sample = malloc(sizeof(*sample));

    if (!sample)
        return NULL;
    podmon__group_sample__init(sample);
    sample->taken_at = clock_real();
    if (tree->layout == CGROUP_LAYOUT_V2) {
        read_cpu_v2(&group, sample);
        read_memory_v2(&group, sample);
    } else {
        read_cpu_v1(&group, sample);
        read_memory_v1(&group, sample);
    }
    read_io(&group, sample);
    sample->tasks = read_value(&group, CGROUP_PIDS, "pids.current");
    sample->tasks_limit = read_limit(&group, CGROUP_PIDS, "pids.max");
    sample->cpu_pressure = read_pressure(&group, "cpu.pressure");
    sample->memory_pressure = read_pressure(&group, "memory.pressure");
    sample->io_pressure = read_pressure(&group, "io.pressure");
    return sample;
}

void sample_group_rate(Podmon__GroupSample *sample, int64_t earlier_at, uint64_t earlier_usage)
{
    double seconds = (double)(sample->taken_at - earlier_at) / (double)CLOCK_SECOND;

    sample->cpu_rate_known =
        sample->taken_at > earlier_at && earlier_at > 0 && sample->cpu_usage >= earlier_usage;
    if (sample->cpu_rate_known)
        sample->cpu_rate = (uint64_t)((double)(sample->cpu_usage - earlier_usage) / seconds);
}
