/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/worker_group.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "dispatcher/image/names.h"
#include "shared/cleanup.h"
#include "shared/file.h"
#include "shared/text.h"

#define GROUP_PREFIX "image-"

enum {
    BUS_TIMEOUT_US = 5 * 1000 * 1000,
    ENTER_TRIES = 3, /* a sweep may take an empty group for one of the past */
};

/* ---- systemd ---- */

static int start_scope(sd_bus *bus, const WorkerGroupPlan *plan, Failure *why)
{
    CLEANUP(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    bool is_slice = plan->slice[0] != '/';
    char name[64], description[512];
    uint64_t random;
    int r;

    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        return failure_set(why, FAILURE_INTERNAL, EIO, "cannot name a scope");
    (void)snprintf(name, sizeof(name), "podmon-image-%016" PRIx64 ".scope", random);
    (void)snprintf(description, sizeof(description), "Pull of %.400s", plan->reference);
    r = sd_bus_call_method(bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                           "org.freedesktop.systemd1.Manager", "StartTransientUnit", &error, NULL,
                           "ssa(sv)a(sa(sv))", name, "fail", 5, "Description", "s", description,
                           "Slice", "s", is_slice ? plan->slice : "system.slice", "MemoryMax", "t",
                           plan->memory_max, "CollectMode", "s", "inactive-or-failed", "PIDs", "au",
                           1, (uint32_t)getpid(), 0);
    if (r < 0)
        return failure_set(why, FAILURE_UNAVAILABLE, -r, "cannot have a scope: %s",
                           error.message ? error.message : "no reason given");
    return 0;
}

static int enter_scope(const WorkerGroupPlan *plan, Failure *why)
{
    sd_bus *bus = NULL;
    int r = sd_bus_open_system(&bus);

    if (r < 0)
        return failure_set(why, FAILURE_UNAVAILABLE, -r, "cannot reach systemd");
    (void)sd_bus_set_method_call_timeout(bus, BUS_TIMEOUT_US);
    r = start_scope(bus, plan, why);
    (void)sd_bus_flush_close_unref(bus);
    return r;
}

/* ---- directories ---- */

typedef struct Hierarchy {
    const char *root, *limit, *enter;
    bool is_v2;
} Hierarchy;

/* Where the memory controller is. */
static const Hierarchy *find_hierarchy(void)
{
    static const Hierarchy v1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "tasks", false};
    static const Hierarchy v2 = {"/sys/fs/cgroup", "memory.max", "cgroup.procs", true};
    struct statfs status;

    if (statfs(v2.root, &status) == 0 && status.f_type == CGROUP2_SUPER_MAGIC)
        return &v2;
    if (statfs(v1.root, &status) == 0 && status.f_type == CGROUP_SUPER_MAGIC)
        return &v1;
    return NULL;
}

static int write_at(int dir_fd, const char *name, const char *text)
{
    AUTO_CLOSE int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* The slice's directory, with the controller switched on for what is below it. */
static int open_parent(const Hierarchy *hierarchy, const char *slice, bool make)
{
    AUTO_CLOSE int root_fd = open(hierarchy->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTO_FREE char *path = NULL;
    int fd;

    if (root_fd < 0)
        return -errno;
    if (asprintf(&path, "%s%s%s", hierarchy->root, slice[0] == '/' ? "" : "/", slice) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    if (make && file_make_directories(path, 0755) < 0)
        return -errno;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (make && hierarchy->is_v2) {
        /* Where it is on already, or cannot be, the limit tells. */
        (void)write_at(root_fd, "cgroup.subtree_control", "+memory");
        (void)write_at(fd, "cgroup.subtree_control", "+memory");
    }
    return fd;
}

static int enter_directory(const Hierarchy *hierarchy, const WorkerGroupPlan *plan)
{
    AUTO_CLOSE int parent_fd = open_parent(hierarchy, plan->slice, true), group_fd = -1;
    char name[32], limit[24];
    int r;

    if (parent_fd < 0)
        return parent_fd;
    (void)snprintf(name, sizeof(name), GROUP_PREFIX "%d", (int)getpid());
    (void)snprintf(limit, sizeof(limit), "%" PRIu64, plan->memory_max);
    if (mkdirat(parent_fd, name, 0755) < 0 && errno != EEXIST)
        return -errno;
    group_fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (group_fd < 0)
        return -errno;
    r = write_at(group_fd, hierarchy->limit, limit);
    if (r == 0)
        r = write_at(group_fd, hierarchy->enter, "0");
    if (r < 0)
        (void)unlinkat(parent_fd, name, AT_REMOVEDIR);
    return r;
}

int worker_group_enter(const WorkerGroupPlan *plan, Failure *why)
{
    const Hierarchy *hierarchy = find_hierarchy();
    int r = -ENOENT;

    if (plan->systemd)
        return enter_scope(plan, why);
    for (int try = 0; hierarchy && try < ENTER_TRIES; try++) {
        r = enter_directory(hierarchy, plan);
        if (r != -ENOENT && r != -ENODEV)
            break;
    }
    return r < 0 ? failure_set(why, FAILURE_UNAVAILABLE, -r, "cannot make a control group") : 0;
}

int worker_group_sweep(const char *slice, bool systemd)
{
    const Hierarchy *hierarchy = systemd ? NULL : find_hierarchy();
    AUTO_CLOSE int parent_fd = hierarchy ? open_parent(hierarchy, slice, false) : -1;
    CLEANUP(image_names_cleanup) char **names = NULL;
    int left = 0;

    if (parent_fd < 0 || image_names_list(parent_fd, &names) < 0)
        return 0;
    for (size_t i = 0; names && names[i]; i++)
        if (text_starts_with(names[i], GROUP_PREFIX) &&
            unlinkat(parent_fd, names[i], AT_REMOVEDIR) < 0 && errno == EBUSY)
            left++;
    return left;
}
