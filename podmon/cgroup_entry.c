/* SPDX-License-Identifier: Apache-2.0 */
/* Getting a process into its group.
 *
 * Moving a process through cgroup.procs makes the kernel wait 10 ms and more for all processors
 * (RCU) on an idle machine. Two ways do not: being born there (CLONE_INTO_CGROUP, v2 only), and on
 * v1 a thread that writes "0" for itself to "tasks": nobody else can be in the way of it, so the
 * kernel takes no global lock (since Linux 5.16; before, it is slow but right). For a process with
 * a single thread that moves the whole of it. */
#include "podmon/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "podmon/cgroup_tree.h"
#include "shared/cleanup.h"
#include "shared/fd.h"

static int open_one(const CgroupHierarchy *hierarchy, const char *path, const char *file, int flags)
{
    char place[PATH_MAX];
    int fd, r = cgroup_place(hierarchy, path, strlen(path), file, place);

    if (r < 0)
        return r;
    fd = open(place, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* `path` in every hierarchy but `branch` (may be NULL), and there `leaf`. */
static int open_all(const CgroupTree *tree, const char *path, const CgroupHierarchy *branch,
                    const char *leaf, CgroupEntry *ret, Failure *why)
{
    CLEANUP(cgroup_entry_done) CgroupEntry entry = {.into_fd = -1};

    for (size_t i = 0; i < tree->count; i++) {
        const CgroupHierarchy *hierarchy = &tree->hierarchies[i];
        const char *group = hierarchy == branch ? leaf : path;
        int r;

        if (hierarchy->v2)
            r = entry.into_fd = open_one(hierarchy, group, NULL, O_RDONLY | O_DIRECTORY);
        else
            r = entry.join_fds[entry.join_count] = open_one(hierarchy, group, "tasks", O_WRONLY);
        if (r < 0)
            return failure_set(why, FAILURE_INTERNAL, -r, "cannot open cgroup %s in %s", group,
                               hierarchy->mount);
        if (!hierarchy->v2)
            entry.join_count++;
    }
    *ret = entry;
    entry = (CgroupEntry){.into_fd = -1};
    return 0;
}

int cgroup_entry_open(const char *path, CgroupEntry *ret, Failure *why)
{
    const CgroupTree *tree;
    int r = cgroup_tree_get(&tree, why);

    return r < 0 ? r : open_all(tree, path, NULL, NULL, ret, why);
}

int cgroup_entry_open_leaf(const char *path, const char *leaf, CgroupEntry *ret, Failure *why)
{
    const CgroupHierarchy *branch;
    const CgroupTree *tree;
    size_t made;
    int r = cgroup_tree_get(&tree, why);

    if (r < 0)
        return r;
    branch = cgroup_tree_killer(tree);
    r = cgroup_make(branch, leaf, &made);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot make cgroup %s in %s", leaf,
                           branch->mount);
    return open_all(tree, path, branch, leaf, ret, why);
}

void cgroup_entry_done(CgroupEntry *entry)
{
    fd_close(&entry->into_fd);
    for (int i = 0; i < entry->join_count; i++)
        fd_close(&entry->join_fds[i]);
    entry->join_count = 0;
}

int cgroup_entry_join(const CgroupEntry *entry)
{
    for (int i = 0; i < entry->join_count; i++)
        if (TEMP_FAILURE_RETRY(write(entry->join_fds[i], "0", 1)) < 0)
            return -errno;
    return 0;
}

int cgroup_join(const char *path, Failure *why)
{
    CLEANUP(cgroup_entry_done) CgroupEntry entry = {.into_fd = -1};
    const CgroupHierarchy *v2;
    const CgroupTree *tree;
    int r = cgroup_tree_get(&tree, why);

    if (r == 0)
        r = cgroup_entry_open(path, &entry, why);
    if (r < 0)
        return r;
    r = cgroup_entry_join(&entry);
    v2 = cgroup_tree_v2(tree);
    if (r == 0 && v2)
        r = cgroup_put(v2, path, "cgroup.procs", "0");
    return r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot enter cgroup %s", path) : 0;
}

int cgroup_join_unit_leaf(const char *path, Failure *why)
{
    const CgroupTree *tree;
    int r = cgroup_tree_get(&tree, why);

    if (r < 0)
        return r;
    for (size_t i = 0; i < tree->count && r >= 0; i++) {
        const CgroupHierarchy *hierarchy = &tree->hierarchies[i];
        size_t made;

        if (!cgroup_tree_has_units(hierarchy))
            continue;
        r = cgroup_make(hierarchy, path, &made);
        if (r >= 0)
            r = cgroup_put(hierarchy, path, hierarchy->v2 ? "cgroup.procs" : "tasks", "0");
    }
    return r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot enter cgroup %s", path) : 0;
}
