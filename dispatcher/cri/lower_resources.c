/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "dispatcher/cri/check.h"
#include "dispatcher/cri/lower.h"
#include "dispatcher/cri/map.h"

enum { UNIFIED_MAX = 64, HUGEPAGES_MAX = 64 };

/* The kernel's own bounds (cpu.cfs_period_us and cpu.cfs_quota_us); 0 is not set. */
static int check_numbers(const char *field, const Runtime__V1__LinuxContainerResources *from,
                         Failure *why)
{
    const struct {
        const char *member;
        int64_t value, min, max;
        int64_t also; /* allowed beside the range, 0 is always */
    } rows[] = {
        {"cpu_period", from->cpu_period, 1000, 1000000, 0},
        {"cpu_quota", from->cpu_quota, 1000, INT64_MAX / 1000, -1},
        {"cpu_shares", from->cpu_shares, 1, 262144, 0},
        {"memory_limit_in_bytes", from->memory_limit_in_bytes, 1, INT64_MAX, 0},
        {"memory_swap_limit_in_bytes", from->memory_swap_limit_in_bytes, 1, INT64_MAX, -1},
        {"oom_score_adj", from->oom_score_adj, -1000, 1000, 0},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t value = rows[i].value;

        if (value == 0 || value == rows[i].also || (value >= rows[i].min && value <= rows[i].max))
            continue;
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "%s.%s: %" PRId64 " is outside %" PRId64 "..%" PRId64, field,
                           rows[i].member, value, rows[i].min, rows[i].max);
    }
    if (from->memory_limit_in_bytes > 0 && from->memory_swap_limit_in_bytes > 0 &&
        from->memory_swap_limit_in_bytes < from->memory_limit_in_bytes)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "%s.memory_swap_limit_in_bytes: %" PRId64
                           " is less than the memory limit, which it includes",
                           field, from->memory_swap_limit_in_bytes);
    return 0;
}

static int lower_cpusets(const char *field, const Runtime__V1__LinuxContainerResources *from,
                         Podmon__Resources *resources, Failure *why)
{
    const char *problem = *from->cpuset_cpus ? check_cpu_list(from->cpuset_cpus) : NULL;

    if (problem)
        return check_refuse(why, from->cpuset_cpus, problem, "%s.cpuset_cpus", field);
    problem = *from->cpuset_mems ? check_cpu_list(from->cpuset_mems) : NULL;
    if (problem)
        return check_refuse(why, from->cpuset_mems, problem, "%s.cpuset_mems", field);
    resources->cpuset_cpus = from->cpuset_cpus;
    resources->cpuset_mems = from->cpuset_mems;
    return 0;
}

static int lower_hugepages(Arena *arena, const char *field,
                           const Runtime__V1__LinuxContainerResources *from,
                           Podmon__Resources *resources, Failure *why)
{
    size_t count = from->n_hugepage_limits;

    if (count > HUGEPAGES_MAX)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "%s.hugepage_limits: %zu are more than %d", field, count, HUGEPAGES_MAX);
    resources->hugepage_limits = arena_alloc_array(arena, count, sizeof(Podmon__Pair *));
    for (size_t i = 0; i < count; i++) {
        const Runtime__V1__HugepageLimit *limit = from->hugepage_limits[i];
        const char *problem = check_page_size(limit->page_size);
        Podmon__Pair *pair = arena_alloc(arena, sizeof(*pair));

        if (problem)
            return check_refuse(why, limit->page_size, problem, "%s.hugepage_limits[%zu].page_size",
                                field, i);
        podmon__pair__init(pair);
        pair->key = limit->page_size;
        pair->value = arena_print(arena, "%" PRIu64, limit->limit);
        resources->hugepage_limits[resources->n_hugepage_limits++] = pair;
    }
    return 0;
}

static int lower_unified(Arena *arena, const char *field,
                         const Runtime__V1__LinuxContainerResources *from,
                         Podmon__Resources *resources, Failure *why)
{
    if (from->n_unified > UNIFIED_MAX)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "%s.unified: %zu are more than %d", field,
                           from->n_unified, UNIFIED_MAX);
    for (size_t i = 0; i < from->n_unified; i++) {
        const char *key = map_key(from->unified, i), *value = map_value(from->unified, i);
        const char *problem = check_cgroup_file(key);

        if (problem)
            return check_refuse(why, key, problem, "%s.unified", field);
        problem = check_kernel_value(value);
        if (problem)
            return check_refuse(why, value, problem, "%s.unified[\"%s\"]", field, key);
    }
    resources->n_unified = from->n_unified;
    resources->unified = map_to_pairs(arena, from->unified, from->n_unified);
    return 0;
}

int lower_resources(Arena *arena, const char *field,
                    const Runtime__V1__LinuxContainerResources *from, Podmon__Resources **ret,
                    Failure *why)
{
    Podmon__Resources *resources = arena_alloc(arena, sizeof(*resources));
    int r;

    podmon__resources__init(resources);
    if (from) {
        r = check_numbers(field, from, why);
        if (r < 0)
            return r;
        r = lower_cpusets(field, from, resources, why);
        if (r < 0)
            return r;
        r = lower_hugepages(arena, field, from, resources, why);
        if (r < 0)
            return r;
        r = lower_unified(arena, field, from, resources, why);
        if (r < 0)
            return r;
        resources->cpu_period = from->cpu_period;
        resources->cpu_quota = from->cpu_quota;
        resources->cpu_shares = from->cpu_shares == 1 ? 2 : from->cpu_shares; /* as the kernel */
        resources->memory_limit = from->memory_limit_in_bytes;
        resources->memory_swap_limit = from->memory_swap_limit_in_bytes;
        resources->oom_score_adj = from->oom_score_adj;
    }
    *ret = resources;
    return 0;
}
