/* SPDX-License-Identifier: Apache-2.0 */
/* Control groups by path below the hierarchies' roots ("/podmon.slice/pod-….scope/<container>"),
 * the same path in every hierarchy: cgroup v1, hybrid and v2 look alike from here.
 *
 * A process is born in its group: in v2 (and in the v2 half of hybrid) by clone3(2)
 * CLONE_INTO_CGROUP, Linux 5.7; in v1 it joins itself before it executes anything, because v1
 * knows no other way. Exits are never learned from here: pidfds are faster. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "podmon.pb-c.h"
#include "shared/failure.h"

typedef enum CgroupLayout {
    CGROUP_LAYOUT_V1,
    CGROUP_LAYOUT_HYBRID, /* controllers on v1, a v2 hierarchy without them beside */
    CGROUP_LAYOUT_V2,
} CgroupLayout;

/* What is mounted below /sys/fs/cgroup; probed once, the same until the process ends. −ENOENT
 * without any. libcgroup is initialised where it serves (v1 controllers). */
int cgroup_probe(CgroupLayout *ret, Failure *why);

/* The process's group ("/" included), or −errno: that of v2, else of systemd's hierarchy, else of
 * the first one. PATH_MAX bytes. */
int cgroup_read_own(pid_t pid, char *ret);

/* Makes the group with the limits in every hierarchy; parents too. On v2 the controllers are
 * switched on in the parents, all in one write, which needs every process in leaves; with
 * `resources` NULL that is left out, so that a process can make its leaf and go there first
 * (cgroup_join). Existing: limits are applied. A limit whose controller the machine does not have
 * is FAILED_PRECONDITION when it was asked for with a value the workload relies on (memory, pids,
 * cpu quota), and passed over when it is advice (shares, hugepage zero limits). On failure nothing
 * that this call made is left. */
int cgroup_create(const char *path, const Podmon__Resources *resources, Failure *why);

/* Changes limits of an existing group; NOT_FOUND without it. */
int cgroup_update(const char *path, const Podmon__Resources *resources, Failure *why);

/* Allows these devices ("c 1:3 rwm", "b *:* m") and no others: the devices controller of v1.
 * −EOPNOTSUPP (UNIMPLEMENTED) on v2, which has none: the caller decides. */
int cgroup_set_devices(const char *path, const char *const *rules, size_t count, Failure *why);

/* Moves the calling process, which has one thread, into the group in every hierarchy. */
int cgroup_join(const char *path, Failure *why);

/* How a process gets in. Filled by cgroup_entry_open before the clone; used by the child, which
 * calls cgroup_entry_join (async-signal-safe) first of all. */
enum { CGROUP_HIERARCHIES_MAX = 16 };
typedef struct CgroupEntry {
    int into_fd;                          /* for CLONE_INTO_CGROUP, or −1 */
    int join_fds[CGROUP_HIERARCHIES_MAX]; /* the v1 hierarchies' "tasks" */
    int join_count;
} CgroupEntry;

int cgroup_entry_open(const char *path, CgroupEntry *ret, Failure *why);

/* The same for a command beside the group's first process. It belongs to the group, limits and all,
 * and to `leaf`, a group below it that is made here: in the one hierarchy that can kill it as a
 * tree. cgroup_kill and cgroup_remove know that group like any other. On failure it may be there.
 */
int cgroup_entry_open_leaf(const char *path, const char *leaf, CgroupEntry *ret, Failure *why);
void cgroup_entry_done(CgroupEntry *entry);

/* Moves the calling thread, the only one of its process, in the v1 hierarchies. 0 or −errno. */
int cgroup_entry_join(const CgroupEntry *entry);

/* Kills every process in the group and below, also ones that fork meanwhile: cgroup.kill (Linux
 * 5.14) where a v2 hierarchy exists, else freezer and signals. Does not wait for them. A group
 * that does not exist: 0. */
int cgroup_kill(const char *path);

/* 1: no process in it or below; 0: some; −ENOENT. */
int cgroup_is_empty(const char *path);

/* Calls `function` for each process in the group and below until it returns nonzero. */
int cgroup_each_process(const char *path, int (*function)(void *data, pid_t pid), void *data);

/* Removes the group and all below it in every hierarchy; they must be empty of processes (−EBUSY).
 * Absent: 0. */
int cgroup_remove(const char *path);

/* The same for a group of cgroup_entry_open_leaf's, which is in one hierarchy only. */
int cgroup_remove_leaf(const char *path);

/* What systemd does not see to when a scope ends: all below the group, as far as it is empty, and
 * the group itself but where systemd keeps its units. There it must go by systemd's hand, which
 * otherwise never learns that the scope has ended. */
void cgroup_prune_scope(const char *path);

/* Makes the group where systemd keeps its units (v2, or the v1 hierarchy of its name), and moves
 * the calling process into it. */
int cgroup_join_unit_leaf(const char *path, Failure *why);

/* How often the kernel killed for memory in this group (memory.events oom_kill, or
 * memory.oom_control); 0 where nobody counts. */
int cgroup_read_oom_kills(const char *path, uint64_t *ret);

/* cpu.shares (2..262144) as cpu.weight (1..10000), by the formula of today's kubelet and runc
 * (opencontainers/cgroups ConvertCPUSharesToCgroupV2Value, 2025). Pure. */
uint64_t cgroup_weight_of_shares(uint64_t shares);
