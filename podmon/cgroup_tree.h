/* SPDX-License-Identifier: Apache-2.0 */
/* The hierarchies of control groups that are mounted below /sys/fs/cgroup, and the directories in
 * them. Everything else about cgroups goes through here to a path. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "podmon/cgroup.h"
#include "podmon/cgroup_values.h"

enum { CGROUP_MOUNT_SIZE = 96 };

typedef struct CgroupHierarchy {
    char mount[CGROUP_MOUNT_SIZE];
    uint32_t controllers; /* 1 << CgroupController; v2: those that its root offers */
    bool v2;
} CgroupHierarchy;

typedef struct CgroupTree {
    CgroupLayout layout;
    size_t count;
    CgroupHierarchy hierarchies[CGROUP_HIERARCHIES_MAX];
} CgroupTree;

/* Out of the text of /proc/self/mountinfo; the controllers of v2 are not in there. Pure. −ENOENT
 * without a single hierarchy. */
int cgroup_tree_parse(char *mountinfo, CgroupTree *ret);

/* The machine's; read once. */
int cgroup_tree_get(const CgroupTree **ret, Failure *why);

/* The one that has the controller; NULL. On hybrid, controllers that v2 has kept do not count. */
const CgroupHierarchy *cgroup_tree_find(const CgroupTree *tree, CgroupController controller);

/* The v2 hierarchy; NULL. */
const CgroupHierarchy *cgroup_tree_v2(const CgroupTree *tree);

/* The one in which a group's processes are killed as a tree: v2, else the freezer's, else any. */
const CgroupHierarchy *cgroup_tree_killer(const CgroupTree *tree);

/* Does systemd keep its units in it: v2, or the v1 hierarchy that has only its name? */
bool cgroup_tree_has_units(const CgroupHierarchy *hierarchy);

/* The one to ask which processes are in a group: v2 where the group exists there, else a v1 one;
 * NULL: there is no such group. */
const CgroupHierarchy *cgroup_tree_holder(const CgroupTree *tree, const char *path);

/* Writes mount + path + "/" + file (NULL: the directory) to `ret`, PATH_MAX bytes; `path` may be
 * cut to its first `size` bytes. −ENAMETOOLONG. */
int cgroup_place(const CgroupHierarchy *hierarchy, const char *path, size_t size, const char *file,
                 char *ret);

/* One write(2); one read of at most 64 KiB. −errno; −ENOENT: no such group, or no such file. */
int cgroup_put(const CgroupHierarchy *hierarchy, const char *path, const char *file,
               const char *text);
int cgroup_get(const CgroupHierarchy *hierarchy, const char *path, const char *file, char **ret);

/* The end of the component that begins behind path[start]; 0 at the path's end. */
size_t cgroup_path_next(const char *path, size_t start);

/* Makes the directories that are missing. *ret_made: the length of the shortest path made, 0 if
 * there was nothing to make; set on failure too. A v1 cpuset group starts with its parent's
 * processors and memory nodes, because without them no process can enter. */
int cgroup_make(const CgroupHierarchy *hierarchy, const char *path, size_t *ret_made);

/* Removes the directories that cgroup_make made, as far as they are empty. */
void cgroup_unmake(const CgroupHierarchy *hierarchy, const char *path, size_t made);
