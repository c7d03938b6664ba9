/* SPDX-License-Identifier: Apache-2.0 */
/* Limits as the kernel takes them: which file of which controller gets which text, in the order in
 * which they are written. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "podmon.pb-c.h"
#include "shared/failure.h"

typedef enum CgroupController {
    CGROUP_CPU,
    CGROUP_CPUACCT, /* v1 only */
    CGROUP_CPUSET,
    CGROUP_MEMORY,
    CGROUP_PIDS,
    CGROUP_DEVICES, /* v1 only */
    CGROUP_FREEZER, /* v1 only */
    CGROUP_IO,      /* v1: blkio */
    CGROUP_HUGETLB,
    CGROUP_RDMA,
    CGROUP_MISC,
    CGROUP_PERF_EVENT, /* v1, and implicit in v2 */
    CGROUP_NET_CLS,    /* v1 only */
    CGROUP_NET_PRIO,   /* v1 only */
    CGROUP_CONTROLLERS,
} CgroupController;

/* By the kernel's name of either version ("io" and "blkio" are one); −ENOENT. `size` bytes. */
int cgroup_controller_parse(const char *name, size_t size);

/* The name that v1 has for it. */
const char *cgroup_controller_name(CgroupController controller);

enum { CGROUP_VALUES_MAX = 64, CGROUP_FILE_SIZE = 64, CGROUP_TEXT_MAX = 4096 };

typedef struct CgroupValue {
    CgroupController controller;
    bool required; /* the workload relies on it: a missing controller is an error */
    char file[CGROUP_FILE_SIZE];
    char *text;
} CgroupValue;

typedef struct CgroupValues {
    CgroupValue items[CGROUP_VALUES_MAX];
    size_t count;
} CgroupValues;

void cgroup_values_done(CgroupValues *values);

/* `resources` may be NULL: no values. INVALID_ARGUMENT names the field and its value. `unified` is
 * FAILED_PRECONDITION on v1. On failure *ret is empty. */
int cgroup_values_v1(const Podmon__Resources *resources, CgroupValues *ret, Failure *why);
int cgroup_values_v2(const Podmon__Resources *resources, CgroupValues *ret, Failure *why);

/* The v1 limit of memory may never be above that of memory + swap: a group whose present sum is
 * `current` needs the sum raised first when the new memory limit is above it. */
void cgroup_values_order_swap(CgroupValues *values, uint64_t current);
