/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "podmon/cgroup_library.h"
#include "podmon/cgroup_tree.h"
#include "podmon/cgroup_values.h"
#include "shared/cleanup.h"
#include "shared/file.h"
#include "shared/number.h"
#include "shared/path.h"
#include "shared/text.h"

enum { PROC_CGROUP_MAX = 64 * 1024 };

int cgroup_probe(CgroupLayout *ret, Failure *why)
{
    const CgroupTree *tree;
    int r = cgroup_tree_get(&tree, why);

    if (r == 0)
        *ret = tree->layout;
    return r;
}

/* "4:memory:/path", "1:name=systemd:/path", "0::/path". The kernel lists v2 even where nobody has
 * mounted it. */
static int line_rank(const char *line, bool v2, const char **ret_path)
{
    const char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;

    if (!path)
        return 0;
    *ret_path = path + 1;
    if (text_starts_with(line, "0::"))
        return v2 ? 3 : 0;
    return text_starts_with(list, ":name=systemd:") ? 2 : 1;
}

int cgroup_read_own(pid_t pid, char *ret)
{
    AUTO_FREE char *text = NULL;
    const CgroupTree *tree;
    const char *found = NULL;
    char name[64], *rest = NULL;
    int best = 0, r;

    r = cgroup_tree_get(&tree, NULL);
    if (r < 0)
        return r;
    (void)snprintf(name, sizeof(name), "/proc/%d/cgroup", pid);
    r = file_read_virtual_at(AT_FDCWD, name, PROC_CGROUP_MAX, &text, NULL);
    if (r < 0)
        return r;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        const char *path;
        int rank = line_rank(line, cgroup_tree_v2(tree), &path);

        /* The kernel lists v2 also where nobody has mounted it; nothing is ever moved there. */
        if (rank <= best || (rank == 3 && tree->layout == CGROUP_LAYOUT_V1))
            continue;
        best = rank;
        found = path;
    }
    if (!found)
        return -ENOENT;
    if (strlen(found) >= PATH_MAX)
        return -ENAMETOOLONG;
    (void)stpcpy(ret, found);
    return 0;
}

static int check_path(const char *path, Failure *why)
{
    if (path_is_clean(path) && strcmp(path, "/") != 0)
        return 0;
    return failure_say(why, FAILURE_INVALID_ARGUMENT, "cgroup \"%s\" is no clean absolute path",
                       path);
}

static int compute_values(const CgroupTree *tree, const Podmon__Resources *resources,
                          CgroupValues *ret, Failure *why)
{
    int r = tree->layout == CGROUP_LAYOUT_V2 ? cgroup_values_v2(resources, ret, why)
                                             : cgroup_values_v1(resources, ret, why);

    for (size_t i = 0; r == 0 && i < ret->count; i++)
        if (ret->items[i].required && !cgroup_tree_find(tree, ret->items[i].controller))
            r = failure_say(why, FAILURE_FAILED_PRECONDITION,
                            "%s=%s: this machine has no %s controller", ret->items[i].file,
                            ret->items[i].text, cgroup_controller_name(ret->items[i].controller));
    if (r < 0)
        cgroup_values_done(ret);
    return r;
}

static int explain_put(const CgroupValue *value, const char *path, int r, Failure *why)
{
    if (r == -EINVAL || r == -ERANGE || r == -ENODEV)
        return failure_set(why, FAILURE_INVALID_ARGUMENT, -r, "%s=%s is refused for cgroup %s",
                           value->file, value->text, path);
    if (r == -EBUSY || r == -ENOENT)
        return failure_set(why, FAILURE_FAILED_PRECONDITION, -r,
                           "%s=%s cannot be had for cgroup %s", value->file, value->text, path);
    return failure_set(why, FAILURE_INTERNAL, -r, "cannot write %s=%s of cgroup %s", value->file,
                       value->text, path);
}

/* One by one, so that a refusal can name its value. */
static int write_values(const CgroupTree *tree, const char *path, const CgroupValues *values,
                        Failure *why)
{
    for (size_t i = 0; i < values->count; i++) {
        const CgroupValue *value = &values->items[i];
        const CgroupHierarchy *hierarchy = cgroup_tree_find(tree, value->controller);
        int r = hierarchy ? cgroup_put(hierarchy, path, value->file, value->text) : -ENOENT;

        if (r < 0 && (r != -ENOENT || value->required))
            return explain_put(value, path, r, why);
    }
    return 0;
}

/* The controllers that serve limits and accounting, and which `offered` has and `active` has not,
 * as one line for cgroup.subtree_control. In one write, because switching on pids alone where
 * processes are would turn the group into a threaded domain for good; with memory among them the
 * kernel refuses the whole. */
static void list_missing(const char *offered, const char *active, char *ret, size_t size)
{
    static const char *const wanted[] = {"memory", "cpu", "cpuset", "io", "pids", "hugetlb"};
    size_t used = 0;

    *ret = '\0';
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        char word[16];

        (void)snprintf(word, sizeof(word), " %s ", wanted[i]);
        if (strstr(offered, word) && !strstr(active, word))
            used += (size_t)snprintf(ret + used, size - used, "+%s ", wanted[i]);
    }
}

/* Reads a list of controllers with a blank around each. */
static int read_list(const CgroupHierarchy *hierarchy, const char *path, const char *file,
                     Text *ret)
{
    AUTO_FREE char *text = NULL;
    int r = cgroup_get(hierarchy, path, file, &text);

    if (r < 0)
        return r;
    text[strcspn(text, "\n")] = '\0';
    return text_print(ret, " %s ", text);
}

static int enable_in(const CgroupHierarchy *hierarchy, const char *path)
{
    CLEANUP(text_done) Text offered = {0}, active = {0};
    char missing[128];
    int r = read_list(hierarchy, path, "cgroup.controllers", &offered);

    if (r == 0)
        r = read_list(hierarchy, path, "cgroup.subtree_control", &active);
    if (r < 0)
        return r;
    list_missing(offered.data, active.data, missing, sizeof(missing));
    return *missing ? cgroup_put(hierarchy, path, "cgroup.subtree_control", missing) : 0;
}

/* From the root down to the group's parent. */
static int enable_controllers(const CgroupHierarchy *hierarchy, const char *path, Failure *why)
{
    AUTO_FREE char *ancestor = strdup(path);
    size_t end = 0;

    if (!ancestor)
        return failure_set(why, FAILURE_RESOURCE_EXHAUSTED, ENOMEM, "cgroup %s", path);
    do {
        int r;

        ancestor[end] = '\0';
        r = enable_in(hierarchy, ancestor);
        if (r < 0)
            return failure_set(why, FAILURE_FAILED_PRECONDITION, -r,
                               "cannot switch on the controllers in cgroup %s",
                               end > 0 ? ancestor : "/");
        ancestor[end] = path[end];
        end = cgroup_path_next(path, end);
    } while (path[end]);
    return 0;
}

static int make_everywhere(const CgroupTree *tree, const char *path, bool controllers,
                           size_t made[CGROUP_HIERARCHIES_MAX], Failure *why)
{
    for (size_t i = 0; i < tree->count; i++) {
        const CgroupHierarchy *hierarchy = &tree->hierarchies[i];
        int r = cgroup_make(hierarchy, path, &made[i]);

        if (r < 0)
            return failure_set(why, FAILURE_INTERNAL, -r, "cannot make cgroup %s in %s", path,
                               hierarchy->mount);
        if (controllers && tree->layout == CGROUP_LAYOUT_V2 && hierarchy->v2) {
            r = enable_controllers(hierarchy, path, why);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

/* A group that was there already may have a limit of memory + swap that is in the way. */
static void order_swap(const CgroupTree *tree, const char *path, CgroupValues *values)
{
    const CgroupHierarchy *memory = cgroup_tree_find(tree, CGROUP_MEMORY);
    AUTO_FREE char *text = NULL;
    uint64_t current;

    if (!memory || memory->v2 || cgroup_get(memory, path, "memory.memsw.limit_in_bytes", &text) < 0)
        return;
    text[strcspn(text, "\n")] = '\0';
    if (number_parse_unsigned(text, UINT64_MAX, &current) == 0)
        cgroup_values_order_swap(values, current);
}

int cgroup_create(const char *path, const Podmon__Resources *resources, Failure *why)
{
    CLEANUP(cgroup_values_done) CgroupValues values = {.count = 0};
    size_t made[CGROUP_HIERARCHIES_MAX] = {0};
    const CgroupTree *tree;
    int r = check_path(path, why);

    if (r == 0)
        r = cgroup_tree_get(&tree, why);
    if (r == 0)
        r = compute_values(tree, resources, &values, why);
    if (r < 0)
        return r;
    r = make_everywhere(tree, path, resources != NULL, made, why);
    if (r == 0) {
        order_swap(tree, path, &values);
        r = write_values(tree, path, &values, why);
    }
    for (size_t i = 0; r < 0 && i < tree->count; i++)
        cgroup_unmake(&tree->hierarchies[i], path, made[i]);
    return r;
}

int cgroup_update(const char *path, const Podmon__Resources *resources, Failure *why)
{
    CLEANUP(cgroup_values_done) CgroupValues values = {.count = 0};
    const CgroupTree *tree;
    int r = check_path(path, why);

    if (r == 0)
        r = cgroup_tree_get(&tree, why);
    if (r == 0)
        r = compute_values(tree, resources, &values, why);
    if (r < 0)
        return r;
    if (!cgroup_tree_holder(tree, path))
        return failure_say(why, FAILURE_NOT_FOUND, "there is no cgroup %s", path);
    order_swap(tree, path, &values);
    /* libcgroup changes v1 limits in one call; when it cannot, we do, and can say why not. */
    if (tree->layout != CGROUP_LAYOUT_V2 && cgroup_library_modify(path, &values) == 0)
        return 0;
    return write_values(tree, path, &values, why);
}

int cgroup_set_devices(const char *path, const char *const *rules, size_t count, Failure *why)
{
    const CgroupHierarchy *devices = NULL;
    const CgroupTree *tree;
    int r = check_path(path, why);

    if (r == 0)
        r = cgroup_tree_get(&tree, why);
    if (r < 0)
        return r;
    devices = cgroup_tree_find(tree, CGROUP_DEVICES);
    if (!devices) {
        (void)failure_say(why, FAILURE_UNIMPLEMENTED,
                          "device rules need the devices controller of cgroup v1");
        return -EOPNOTSUPP;
    }
    r = cgroup_put(devices, path, "devices.deny", "a");
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot deny devices to cgroup %s", path);
    for (size_t i = 0; i < count; i++) {
        r = cgroup_put(devices, path, "devices.allow", rules[i]);
        if (r < 0)
            return failure_set(why, r == -EINVAL ? FAILURE_INVALID_ARGUMENT : FAILURE_INTERNAL, -r,
                               "cannot allow devices \"%s\" to cgroup %s", rules[i], path);
    }
    return 0;
}
