/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/cgroup_values.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "podmon/cgroup.h"
#include "shared/number.h"
#include "shared/text.h"

static const char V1_MEMORY[] = "memory.limit_in_bytes";
static const char V1_MEMORY_SWAP[] = "memory.memsw.limit_in_bytes";

enum {
    SHARES_MIN = 2,
    SHARES_MAX = 262144,
    WEIGHT_MAX = 10000,
    CPU_PERIOD_DEFAULT = 100000, /* microseconds; the kernel's */
};

static const char *const CONTROLLER_NAMES[CGROUP_CONTROLLERS] = {
    [CGROUP_CPU] = "cpu",         [CGROUP_CPUACCT] = "cpuacct",
    [CGROUP_CPUSET] = "cpuset",   [CGROUP_MEMORY] = "memory",
    [CGROUP_PIDS] = "pids",       [CGROUP_DEVICES] = "devices",
    [CGROUP_FREEZER] = "freezer", [CGROUP_IO] = "blkio",
    [CGROUP_HUGETLB] = "hugetlb", [CGROUP_RDMA] = "rdma",
    [CGROUP_MISC] = "misc",       [CGROUP_PERF_EVENT] = "perf_event",
    [CGROUP_NET_CLS] = "net_cls", [CGROUP_NET_PRIO] = "net_prio",
};

int cgroup_controller_parse(const char *name, size_t size)
{
    if (size == 2 && memcmp(name, "io", size) == 0)
        return CGROUP_IO;
    for (int i = 0; i < CGROUP_CONTROLLERS; i++)
        if (strlen(CONTROLLER_NAMES[i]) == size && memcmp(CONTROLLER_NAMES[i], name, size) == 0)
            return i;
    return -ENOENT;
}

const char *cgroup_controller_name(CgroupController controller)
{
    return CONTROLLER_NAMES[controller];
}

/* These two stand here because libm would be one more library to load in every pod, for one number
 * that few of them need. Exact to 1e-12, and both arguments are small. */
static double logarithm_2(uint64_t number)
{
    int whole = 63 - __builtin_clzll(number);
    double rest = (double)number / (double)(UINT64_C(1) << whole);
    double result = whole, bit = 1;

    for (int digit = 1; digit <= 50; digit++) {
        bit /= 2;
        rest *= rest;
        if (rest >= 2) {
            rest /= 2;
            result += bit;
        }
    }
    return result;
}

static double power_of_10(double exponent)
{
    const double natural = exponent * 2.302585092994045684 / 16;
    double term = 1, result = 1;

    for (int i = 1; i < 20; i++) {
        term *= natural / i;
        result += term;
    }
    for (int i = 0; i < 4; i++)
        result *= result;
    return result;
}

/* What runc and the kubelet do since 2025 (opencontainers/cgroups,
 * ConvertCPUSharesToCgroupV2Value): a parabola through (2, 1), (1024, 100) and (262144, 10000) on
 * logarithmic scales, because the straight line used before gave the default of 1024 shares a
 * weight of 39. */
uint64_t cgroup_weight_of_shares(uint64_t shares)
{
    double l, weight;

    if (shares <= SHARES_MIN)
        return 1;
    if (shares >= SHARES_MAX)
        return WEIGHT_MAX;
    l = logarithm_2(shares);
    weight = power_of_10((l * l + 125 * l) / 612.0 - 7.0 / 34.0);
    return (uint64_t)(weight - 1e-9) + 1; /* rounded up */
}

void cgroup_values_done(CgroupValues *values)
{
    for (size_t i = 0; i < values->count; i++)
        free(values->items[i].text);
    values->count = 0;
}

static __attribute__((format(printf, 5, 6))) int add(CgroupValues *values,
                                                     CgroupController controller, bool required,
                                                     const char *file, const char *format, ...)
{
    CgroupValue *value = &values->items[values->count];
    va_list arguments;
    int length;

    if (values->count == CGROUP_VALUES_MAX || strlen(file) >= sizeof(value->file))
        return -E2BIG;
    va_start(arguments, format);
    length = vasprintf(&value->text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return -ENOMEM;
    (void)stpcpy(value->file, file);
    value->controller = controller;
    value->required = required;
    values->count++;
    return 0;
}

/* A limit where a negative number means "none". */
static int add_limit(CgroupValues *values, CgroupController controller, const char *file,
                     int64_t limit, const char *unlimited)
{
    if (limit < 0)
        return add(values, controller, false, file, "%s", unlimited);
    return add(values, controller, true, file, "%" PRId64, limit);
}

static bool is_list_of_numbers(const char *text)
{
    return strspn(text, "0123456789,-") == strlen(text) && strlen(text) < CGROUP_TEXT_MAX;
}

static bool is_page_size(const char *text)
{
    size_t digits = strspn(text, "0123456789");

    return digits > 0 && digits <= 6 && strchr("KMG", text[digits]) && text[digits] &&
           strcmp(text + digits + 1, "B") == 0;
}

static int check_resources(const Podmon__Resources *resources, Failure *why)
{
    int64_t shares = resources->cpu_shares, period = resources->cpu_period;
    int64_t memory = resources->memory_limit, swap = resources->memory_swap_limit;
    char safe[128];

    if (shares < 0)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "cpu_shares: %" PRId64 " is negative",
                           shares);
    if (period < 0)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "cpu_period: %" PRId64 " is negative",
                           period);
    if (swap > 0 && memory <= 0)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "memory_swap_limit_in_bytes: %" PRId64 " needs a memory limit too",
                           swap);
    if (swap > 0 && swap < memory)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "memory_swap_limit_in_bytes: %" PRId64
                           " is below the memory limit of %" PRId64,
                           swap, memory);
    text_make_safe(resources->cpuset_cpus, safe, sizeof(safe));
    if (!is_list_of_numbers(resources->cpuset_cpus))
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "cpuset_cpus: \"%s\" is no list", safe);
    text_make_safe(resources->cpuset_mems, safe, sizeof(safe));
    if (!is_list_of_numbers(resources->cpuset_mems))
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "cpuset_mems: \"%s\" is no list", safe);
    return 0;
}

static int add_cpuset(CgroupValues *values, const Podmon__Resources *resources)
{
    int r = 0;

    if (*resources->cpuset_cpus)
        r = add(values, CGROUP_CPUSET, true, "cpuset.cpus", "%s", resources->cpuset_cpus);
    if (r == 0 && *resources->cpuset_mems)
        r = add(values, CGROUP_CPUSET, true, "cpuset.mems", "%s", resources->cpuset_mems);
    return r;
}

/* `file_format`: with one %s for the page size. A limit of zero is what the kubelet sends for every
 * page size that a pod does not use; on a machine without the controller it holds anyway. */
static int add_hugepages(CgroupValues *values, const Podmon__Resources *resources, const char *end,
                         Failure *why)
{
    for (size_t i = 0; i < resources->n_hugepage_limits; i++) {
        const Podmon__Pair *pair = resources->hugepage_limits[i];
        char file[CGROUP_FILE_SIZE];
        uint64_t bytes;
        int r;

        if (!is_page_size(pair->key))
            return failure_say(why, FAILURE_INVALID_ARGUMENT,
                               "hugepage_limits: page_size \"%s\" is none", pair->key);
        if (number_parse_unsigned(pair->value, UINT64_MAX, &bytes) < 0)
            return failure_say(why, FAILURE_INVALID_ARGUMENT,
                               "hugepage_limits: limit \"%s\" is no number", pair->value);
        (void)snprintf(file, sizeof(file), "hugetlb.%s.%s", pair->key, end);
        r = add(values, CGROUP_HUGETLB, bytes > 0, file, "%" PRIu64, bytes);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The name of one file of a controller; "cgroup." files steer the group itself and are ours. */
static int unified_controller(const char *key)
{
    const char *dot = strchr(key, '.');

    if (!dot || strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789_.KMGB-") != strlen(key) ||
        strlen(key) >= CGROUP_FILE_SIZE)
        return -EINVAL;
    return cgroup_controller_parse(key, (size_t)(dot - key));
}

static int add_unified(CgroupValues *values, const Podmon__Resources *resources, Failure *why)
{
    for (size_t i = 0; i < resources->n_unified; i++) {
        const Podmon__Pair *pair = resources->unified[i];
        int r = unified_controller(pair->key);

        if (r < 0)
            return failure_say(why, FAILURE_INVALID_ARGUMENT,
                               "unified: \"%s\" is no file of a cgroup v2 controller", pair->key);
        if (!text_is_printable(pair->value) || strlen(pair->value) >= CGROUP_TEXT_MAX)
            return failure_say(why, FAILURE_INVALID_ARGUMENT,
                               "unified: the value of \"%s\" is not printable or too long",
                               pair->key);
        r = add(values, (CgroupController)r, true, pair->key, "%s", pair->value);
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_memory_v1(CgroupValues *values, const Podmon__Resources *resources)
{
    int r = 0;

    if (resources->memory_limit != 0)
        r = add_limit(values, CGROUP_MEMORY, V1_MEMORY, resources->memory_limit, "-1");
    if (r == 0 && resources->memory_swap_limit != 0)
        r = add(values, CGROUP_MEMORY, false, V1_MEMORY_SWAP, "%" PRId64,
                resources->memory_swap_limit < 0 ? -1 : resources->memory_swap_limit);
    return r;
}

static int add_cpu_v1(CgroupValues *values, const Podmon__Resources *resources)
{
    int r = 0;

    if (resources->cpu_shares != 0)
        r = add(values, CGROUP_CPU, false, "cpu.shares", "%" PRId64, resources->cpu_shares);
    if (r == 0 && resources->cpu_period != 0)
        r = add(values, CGROUP_CPU, false, "cpu.cfs_period_us", "%" PRId64, resources->cpu_period);
    if (r == 0 && resources->cpu_quota != 0)
        r = add_limit(values, CGROUP_CPU, "cpu.cfs_quota_us", resources->cpu_quota, "-1");
    return r;
}

static int add_memory_v2(CgroupValues *values, const Podmon__Resources *resources)
{
    int64_t memory = resources->memory_limit, swap = resources->memory_swap_limit;
    int r = 0;

    if (memory != 0)
        r = add_limit(values, CGROUP_MEMORY, "memory.max", memory, "max");
    if (r == 0 && swap < 0)
        r = add(values, CGROUP_MEMORY, false, "memory.swap.max", "max");
    else if (r == 0 && swap > 0) /* v2 counts swap alone */
        r = add(values, CGROUP_MEMORY, false, "memory.swap.max", "%" PRId64, swap - memory);
    return r;
}

static int add_cpu_v2(CgroupValues *values, const Podmon__Resources *resources)
{
    int64_t quota = resources->cpu_quota;
    int64_t period = resources->cpu_period ? resources->cpu_period : CPU_PERIOD_DEFAULT;
    int r = 0;

    if (resources->cpu_shares != 0)
        r = add(values, CGROUP_CPU, false, "cpu.weight", "%" PRIu64,
                cgroup_weight_of_shares((uint64_t)resources->cpu_shares));
    if (r == 0 && quota > 0)
        r = add(values, CGROUP_CPU, true, "cpu.max", "%" PRId64 " %" PRId64, quota, period);
    else if (r == 0 && (quota < 0 || resources->cpu_period != 0))
        r = add(values, CGROUP_CPU, false, "cpu.max", "max %" PRId64, period);
    return r;
}

/* The steps' own failures have their sentence; what is left is space. */
static int finish(CgroupValues *values, int r, Failure *why)
{
    if (r == -E2BIG)
        r = failure_say(why, FAILURE_INVALID_ARGUMENT,
                        "resources: more than %d limits, or a name that is too long",
                        CGROUP_VALUES_MAX);
    else if (r == -ENOMEM)
        r = failure_set(why, FAILURE_RESOURCE_EXHAUSTED, ENOMEM, "resources");
    if (r < 0)
        cgroup_values_done(values);
    return r;
}

int cgroup_values_v1(const Podmon__Resources *resources, CgroupValues *ret, Failure *why)
{
    int r;

    ret->count = 0;
    if (!resources)
        return 0;
    r = check_resources(resources, why);
    if (r < 0)
        return r;
    if (resources->n_unified > 0)
        return failure_say(why, FAILURE_FAILED_PRECONDITION,
                           "unified: \"%s\" needs cgroup v2, and this machine has v1",
                           resources->unified[0]->key);
    r = add_memory_v1(ret, resources);
    if (r == 0)
        r = add_cpu_v1(ret, resources);
    if (r == 0)
        r = add_cpuset(ret, resources);
    if (r == 0 && resources->pids_limit != 0)
        r = add_limit(ret, CGROUP_PIDS, "pids.max", resources->pids_limit, "max");
    if (r == 0)
        r = add_hugepages(ret, resources, "limit_in_bytes", why);
    return finish(ret, r, why);
}

int cgroup_values_v2(const Podmon__Resources *resources, CgroupValues *ret, Failure *why)
{
    int r;

    ret->count = 0;
    if (!resources)
        return 0;
    r = check_resources(resources, why);
    if (r < 0)
        return r;
    r = add_memory_v2(ret, resources);
    if (r == 0)
        r = add_cpu_v2(ret, resources);
    if (r == 0)
        r = add_cpuset(ret, resources);
    if (r == 0 && resources->pids_limit != 0)
        r = add_limit(ret, CGROUP_PIDS, "pids.max", resources->pids_limit, "max");
    if (r == 0)
        r = add_hugepages(ret, resources, "max", why);
    if (r == 0)
        r = add_unified(ret, resources, why);
    return finish(ret, r, why);
}

void cgroup_values_order_swap(CgroupValues *values, uint64_t current)
{
    for (size_t i = 0; i + 1 < values->count; i++) {
        CgroupValue memory = values->items[i];
        uint64_t limit;

        if (strcmp(memory.file, V1_MEMORY) != 0 ||
            strcmp(values->items[i + 1].file, V1_MEMORY_SWAP) != 0)
            continue;
        if (number_parse_unsigned(memory.text, UINT64_MAX, &limit) < 0)
            limit = UINT64_MAX; /* "-1" */
        if (limit <= current)
            return;
        values->items[i] = values->items[i + 1];
        values->items[i + 1] = memory;
        return;
    }
}
