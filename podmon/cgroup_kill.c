/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a group: who is in it, killing them, removing it; and what the kernel killed. */
#include "podmon/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "podmon/cgroup_tree.h"
#include "shared/cleanup.h"
#include "shared/file.h"
#include "shared/number.h"
#include "shared/path.h"
#include "shared/text.h"

enum {
    DEPTH_MAX = 256,                  /* of groups that a container has nested */
    PROCESSES_MAX = 64 * 1024 * 1024, /* bytes of a cgroup.procs */
    FREEZE_TRIES = 20,                /* of one millisecond each */
    REMOVE_TRIES = 10,
};

typedef struct Visit {
    int (*function)(void *data, pid_t pid);
    void *data;
} Visit;

static void sleep_millisecond(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void cleanup_closedir(DIR **directory)
{
    if (*directory)
        (void)closedir(*directory);
}

static int visit_group(int fd, const Visit *visit)
{
    AUTO_FREE char *text = NULL;
    char *rest = NULL;
    int r = file_read_virtual_at(fd, "cgroup.procs", PROCESSES_MAX, &text, NULL);

    if (r == -ENOENT || r == -ENODEV)
        return 0; /* removed while we looked */
    if (r < 0)
        return r;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        uint64_t pid;

        /* 0 is a process that our pid namespace cannot see. */
        if (number_parse_unsigned(line, INT_MAX, &pid) < 0 || pid == 0)
            continue;
        r = visit->function(visit->data, (pid_t)pid);
        if (r != 0)
            return r;
    }
    return 0;
}

/* Walks the group's directories, the deepest first: `visit` for the processes of each, or, without
 * one, removes them. Takes `fd`. */
static int walk(int fd, int depth, const Visit *visit)
{
    CLEANUP(cleanup_closedir) DIR *directory = fdopendir(fd);
    const struct dirent *entry;

    if (!directory) {
        (void)close(fd);
        return -errno;
    }
    if (depth > DEPTH_MAX)
        return -ELOOP;
    while ((entry = readdir(directory))) {
        int child, r;

        if (entry->d_type != DT_DIR || !path_is_name(entry->d_name))
            continue;
        child = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (child < 0 && errno == ENOENT)
            continue;
        if (child < 0)
            return -errno;
        r = walk(child, depth + 1, visit);
        if (r != 0)
            return r;
        if (!visit && unlinkat(fd, entry->d_name, AT_REMOVEDIR) < 0 && errno != ENOENT)
            return -errno;
    }
    return visit ? visit_group(fd, visit) : 0;
}

static int walk_hierarchy(const CgroupHierarchy *hierarchy, const char *path, const Visit *visit)
{
    char place[PATH_MAX];
    int fd, r = cgroup_place(hierarchy, path, strlen(path), NULL, place);

    if (r < 0)
        return r;
    fd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : walk(fd, 0, visit);
}

/* The tree, for a path that names one group of it. */
static int tree_for(const char *path, const CgroupTree **ret)
{
    if (!path_is_clean(path) || strcmp(path, "/") == 0)
        return -EINVAL;
    return cgroup_tree_get(ret, NULL);
}

int cgroup_each_process(const char *path, int (*function)(void *data, pid_t pid), void *data)
{
    const Visit visit = {function, data};
    const CgroupHierarchy *holder;
    const CgroupTree *tree;
    int r = tree_for(path, &tree);

    if (r < 0)
        return r;
    holder = cgroup_tree_holder(tree, path);
    return holder ? walk_hierarchy(holder, path, &visit) : -ENOENT;
}

static int stop_at_first(void *data, pid_t pid)
{
    (void)data, (void)pid;
    return 1;
}

int cgroup_is_empty(const char *path)
{
    const CgroupHierarchy *holder;
    const CgroupTree *tree;
    AUTO_FREE char *events = NULL;
    int r = tree_for(path, &tree);

    if (r < 0)
        return r;
    holder = cgroup_tree_holder(tree, path);
    if (!holder)
        return -ENOENT;
    if (holder->v2 && cgroup_get(holder, path, "cgroup.events", &events) == 0)
        return strstr(events, "populated 0") != NULL;
    r = cgroup_each_process(path, stop_at_first, NULL);
    return r < 0 ? r : r == 0;
}

static int kill_one(void *data, pid_t pid)
{
    (void)data;
    (void)kill(pid, SIGKILL); /* it may have ended by itself meanwhile */
    return 0;
}

/* Without cgroup.kill: a frozen process neither forks nor ends, so that what is listed is all there
 * is and every number still means the same process. The signal takes effect when it thaws. What
 * does not freeze in time hangs in the kernel, and does not fork there either. */
static int kill_frozen(const CgroupHierarchy *holder, const CgroupHierarchy *freezer,
                       const char *path)
{
    const Visit visit = {kill_one, NULL};
    const char *file = freezer && freezer->v2 ? "cgroup.freeze" : "freezer.state";
    int r = 0;

    if (freezer)
        (void)cgroup_put(freezer, path, file, freezer->v2 ? "1" : "FROZEN");
    for (int i = 0; i < FREEZE_TRIES && r == 0; i++) {
        AUTO_FREE char *state = NULL;
        bool frozen =
            freezer &&
            cgroup_get(freezer, path, freezer->v2 ? "cgroup.events" : file, &state) == 0 &&
            strstr(state, freezer->v2 ? "frozen 1" : "FROZEN");

        r = walk_hierarchy(holder, path, &visit);
        if (frozen)
            break;
        sleep_millisecond();
    }
    if (freezer)
        (void)cgroup_put(freezer, path, file, freezer->v2 ? "0" : "THAWED");
    return r == -ENOENT ? 0 : r;
}

int cgroup_kill(const char *path)
{
    const CgroupHierarchy *holder;
    const CgroupTree *tree;
    int r = tree_for(path, &tree);

    if (r < 0)
        return r;
    holder = cgroup_tree_holder(tree, path);
    if (!holder)
        return 0;
    if (!holder->v2)
        return kill_frozen(holder, cgroup_tree_find(tree, CGROUP_FREEZER), path);
    r = cgroup_put(holder, path, "cgroup.kill", "1");
    return r == -ENOENT ? kill_frozen(holder, holder, path) : r;
}

static int remove_from(const CgroupHierarchy *hierarchy, const char *path)
{
    char place[PATH_MAX];
    int r = cgroup_place(hierarchy, path, strlen(path), NULL, place);

    if (r < 0)
        return r;
    if (rmdir(place) == 0 || errno == ENOENT)
        return 0;
    r = walk_hierarchy(hierarchy, path, NULL);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    return rmdir(place) < 0 && errno != ENOENT ? -errno : 0;
}

/* A process that has been reaped may still count for a moment. */
static int remove_patiently(const CgroupHierarchy *hierarchy, const char *path)
{
    int r = remove_from(hierarchy, path);

    for (int try = 0; r == -EBUSY && try < REMOVE_TRIES; try++) {
        sleep_millisecond();
        r = remove_from(hierarchy, path);
    }
    return r;
}

int cgroup_remove(const char *path)
{
    const CgroupTree *tree;
    int result = tree_for(path, &tree);

    if (result < 0)
        return result;
    if (cgroup_is_empty(path) == 0)
        return -EBUSY;
    for (size_t i = 0; i < tree->count; i++) {
        int r = remove_patiently(&tree->hierarchies[i], path);

        if (result == 0)
            result = r;
    }
    return result;
}

int cgroup_remove_leaf(const char *path)
{
    const CgroupTree *tree;
    int r = tree_for(path, &tree);

    if (r < 0)
        return r;
    return cgroup_is_empty(path) == 0 ? -EBUSY : remove_patiently(cgroup_tree_killer(tree), path);
}

int cgroup_read_oom_kills(const char *path, uint64_t *ret)
{
    const CgroupHierarchy *memory;
    const CgroupTree *tree;
    AUTO_FREE char *text = NULL;
    char *line, *rest = NULL;
    int r = tree_for(path, &tree);

    if (r < 0)
        return r;
    memory = cgroup_tree_find(tree, CGROUP_MEMORY);
    r = memory
            ? cgroup_get(memory, path, memory->v2 ? "memory.events" : "memory.oom_control", &text)
            : -ENOENT;
    if (r < 0 && r != -ENOENT)
        return r;
    *ret = 0;
    for (line = text ? strtok_r(text, "\n", &rest) : NULL; line; line = strtok_r(NULL, "\n", &rest))
        if (text_starts_with(line, "oom_kill "))
            return number_parse_unsigned(line + strlen("oom_kill "), UINT64_MAX, ret);
    return 0;
}

void cgroup_prune_scope(const char *path)
{
    const CgroupTree *tree;

    if (tree_for(path, &tree) < 0)
        return;
    for (size_t i = 0; i < tree->count; i++) {
        const CgroupHierarchy *hierarchy = &tree->hierarchies[i];

        /* Where processes are left it is busy, and stays. */
        if (cgroup_tree_has_units(hierarchy))
            (void)walk_hierarchy(hierarchy, path, NULL);
        else
            (void)remove_from(hierarchy, path);
    }
}
