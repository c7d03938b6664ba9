/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/cgroup_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/file.h"
#include "shared/text.h"

static const char ROOT[] = "/sys/fs/cgroup";

enum {
    MOUNTINFO_MAX = 4 * 1024 * 1024,
    FILE_MAX_SIZE = 64 * 1024,
};

static uint32_t controllers_of(char *list, const char *separators)
{
    uint32_t controllers = 0;
    char *rest = NULL;

    for (char *name = strtok_r(list, separators, &rest); name;
         name = strtok_r(NULL, separators, &rest)) {
        int controller = cgroup_controller_parse(name, strlen(name));
        if (controller >= 0)
            controllers |= UINT32_C(1) << controller;
    }
    return controllers;
}

/* 36 25 0:31 / /sys/fs/cgroup/memory rw,… optional… - cgroup cgroup rw,memory */
static void parse_line(char *line, CgroupTree *tree)
{
    char *behind = strstr(line, " - cgroup"), *rest = NULL, *mount = NULL;
    CgroupHierarchy *hierarchy = &tree->hierarchies[tree->count];
    bool v2;

    if (!behind || tree->count == CGROUP_HIERARCHIES_MAX)
        return;
    *behind = '\0';
    behind += strlen(" - cgroup");
    v2 = text_starts_with(behind, "2 ");
    if (!v2 && !text_starts_with(behind, " "))
        return;
    mount = strtok_r(line, " ", &rest);
    for (int field = 1; mount && field < 5; field++)
        mount = strtok_r(NULL, " ", &rest);
    behind = strrchr(behind, ' ');
    if (!mount || !text_starts_with(mount, ROOT) || strlen(mount) >= sizeof(hierarchy->mount))
        return;
    for (size_t i = 0; i < tree->count; i++)
        if (strcmp(tree->hierarchies[i].mount, mount) == 0)
            return; /* mounted over; both lines lead to the same place */
    *hierarchy = (CgroupHierarchy){.v2 = v2};
    (void)stpcpy(hierarchy->mount, mount);
    if (!v2)
        hierarchy->controllers = controllers_of(behind + 1, ",");
    tree->count++;
}

int cgroup_tree_parse(char *mountinfo, CgroupTree *ret)
{
    bool v1 = false, v2 = false;
    char *rest = NULL;

    *ret = (CgroupTree){0};
    for (char *line = strtok_r(mountinfo, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        parse_line(line, ret);
    for (size_t i = 0; i < ret->count; i++) {
        v1 = v1 || ret->hierarchies[i].controllers != 0;
        v2 = v2 || ret->hierarchies[i].v2;
    }
    ret->layout = v1 && v2 ? CGROUP_LAYOUT_HYBRID : v2 ? CGROUP_LAYOUT_V2 : CGROUP_LAYOUT_V1;
    return ret->count > 0 ? 0 : -ENOENT;
}

static int read_tree(CgroupTree *ret)
{
    AUTO_FREE char *mountinfo = NULL;
    int r = file_read_virtual_at(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &mountinfo, NULL);

    if (r < 0)
        return r;
    r = cgroup_tree_parse(mountinfo, ret);
    if (r < 0 || ret->layout != CGROUP_LAYOUT_V2)
        return r;
    for (size_t i = 0; i < ret->count; i++) {
        AUTO_FREE char *list = NULL;
        CgroupHierarchy *hierarchy = &ret->hierarchies[i];

        if (!hierarchy->v2)
            continue;
        r = cgroup_get(hierarchy, "", "cgroup.controllers", &list);
        if (r < 0)
            return r;
        hierarchy->controllers = controllers_of(list, " \n");
    }
    return 0;
}

int cgroup_tree_get(const CgroupTree **ret, Failure *why)
{
    /* What a machine mounts here at boot stays as long as it runs. */
    static CgroupTree tree;

    if (tree.count == 0) {
        CgroupTree read;
        int r = read_tree(&read);

        if (r == -ENOENT)
            return failure_set(why, FAILURE_FAILED_PRECONDITION, ENOENT,
                               "no control group hierarchy is mounted below %s", ROOT);
        if (r < 0)
            return failure_set(why, FAILURE_INTERNAL, -r, "cannot read the cgroup hierarchies");
        tree = read;
    }
    *ret = &tree;
    return 0;
}

const CgroupHierarchy *cgroup_tree_find(const CgroupTree *tree, CgroupController controller)
{
    for (size_t i = 0; i < tree->count; i++)
        if (tree->hierarchies[i].controllers & UINT32_C(1) << controller)
            return &tree->hierarchies[i];
    return NULL;
}

const CgroupHierarchy *cgroup_tree_v2(const CgroupTree *tree)
{
    for (size_t i = 0; i < tree->count; i++)
        if (tree->hierarchies[i].v2)
            return &tree->hierarchies[i];
    return NULL;
}

const CgroupHierarchy *cgroup_tree_killer(const CgroupTree *tree)
{
    const CgroupHierarchy *found = cgroup_tree_v2(tree);

    if (!found)
        found = cgroup_tree_find(tree, CGROUP_FREEZER);
    return found ? found : &tree->hierarchies[0];
}

bool cgroup_tree_has_units(const CgroupHierarchy *hierarchy)
{
    return hierarchy->v2 || hierarchy->controllers == 0;
}

static bool has_group(const CgroupHierarchy *hierarchy, const char *path)
{
    char place[PATH_MAX];

    return cgroup_place(hierarchy, path, strlen(path), NULL, place) == 0 &&
           access(place, F_OK) == 0;
}

const CgroupHierarchy *cgroup_tree_holder(const CgroupTree *tree, const char *path)
{
    const CgroupHierarchy *v2 = cgroup_tree_v2(tree);

    if (v2 && has_group(v2, path))
        return v2;
    for (size_t i = 0; i < tree->count; i++)
        if (has_group(&tree->hierarchies[i], path))
            return &tree->hierarchies[i];
    return NULL;
}

int cgroup_place(const CgroupHierarchy *hierarchy, const char *path, size_t size, const char *file,
                 char *ret)
{
    int length = snprintf(ret, PATH_MAX, "%s%.*s%s%s", hierarchy->mount, (int)size, path,
                          file ? "/" : "", file ? file : "");

    return length < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int cgroup_put(const CgroupHierarchy *hierarchy, const char *path, const char *file,
               const char *text)
{
    char place[PATH_MAX];
    int r = cgroup_place(hierarchy, path, strlen(path), file, place);

    return r < 0 ? r : file_put_at(AT_FDCWD, place, text);
}

int cgroup_get(const CgroupHierarchy *hierarchy, const char *path, const char *file, char **ret)
{
    char place[PATH_MAX];
    int r = cgroup_place(hierarchy, path, strlen(path), file, place);

    return r < 0 ? r : file_read_virtual_at(AT_FDCWD, place, FILE_MAX_SIZE, ret, NULL);
}

size_t cgroup_path_next(const char *path, size_t start)
{
    return path[start] ? start + 1 + strcspn(path + start + 1, "/") : 0;
}

/* The length of the parent's path. */
static size_t path_up(const char *path, size_t end)
{
    while (end > 0 && path[end - 1] != '/')
        end--;
    return end > 0 ? end - 1 : 0;
}

/* A cpuset of v1 is born empty, and nothing can enter it. Somebody else who has just made it may
 * not have come to this yet, so also one that was there already is looked at. */
static int fill_from_parent(const CgroupHierarchy *hierarchy, const char *path, size_t end,
                            const char *file)
{
    AUTO_FREE char *own = NULL, *text = NULL;
    char place[PATH_MAX];
    int r = cgroup_place(hierarchy, path, end, file, place);

    if (r == 0)
        r = file_read_virtual_at(AT_FDCWD, place, FILE_MAX_SIZE, &own, NULL);
    if (r < 0 || own[strspn(own, "\n")])
        return r;
    r = cgroup_place(hierarchy, path, path_up(path, end), file, place);
    if (r == 0)
        r = file_read_virtual_at(AT_FDCWD, place, FILE_MAX_SIZE, &text, NULL);
    if (r == 0)
        r = cgroup_place(hierarchy, path, end, file, place);
    return r < 0 ? r : file_put_at(AT_FDCWD, place, text);
}

static int prepare_cpuset(const CgroupHierarchy *hierarchy, const char *path, size_t end)
{
    int r = fill_from_parent(hierarchy, path, end, "cpuset.cpus");

    return r < 0 ? r : fill_from_parent(hierarchy, path, end, "cpuset.mems");
}

static bool is_cpuset(const CgroupHierarchy *hierarchy)
{
    return !hierarchy->v2 && hierarchy->controllers & UINT32_C(1) << CGROUP_CPUSET;
}

/* The directory of the path's first `end` bytes. */
static int make_one(const CgroupHierarchy *hierarchy, const char *path, size_t end,
                    size_t *ret_made)
{
    char place[PATH_MAX];
    int r = cgroup_place(hierarchy, path, end, NULL, place);

    if (r < 0)
        return r;
    if (mkdir(place, 0755) == 0)
        *ret_made = *ret_made ? *ret_made : end;
    else if (errno != EEXIST)
        return -errno;
    return is_cpuset(hierarchy) ? prepare_cpuset(hierarchy, path, end) : 0;
}

int cgroup_make(const CgroupHierarchy *hierarchy, const char *path, size_t *ret_made)
{
    size_t end = is_cpuset(hierarchy) ? cgroup_path_next(path, 0) : strlen(path);
    int r;

    *ret_made = 0;
    /* Mostly only the last one is missing: up to one that can be made, and down again. Cpusets are
     * filled from above, each out of the one before. */
    while ((r = make_one(hierarchy, path, end, ret_made)) == -ENOENT && end > 0)
        end = path_up(path, end);
    for (end = cgroup_path_next(path, end); r == 0 && end > 0; end = cgroup_path_next(path, end))
        r = make_one(hierarchy, path, end, ret_made);
    return r;
}

void cgroup_unmake(const CgroupHierarchy *hierarchy, const char *path, size_t made)
{
    char place[PATH_MAX];

    for (size_t end = strlen(path); made > 0 && end >= made; end = path_up(path, end))
        if (cgroup_place(hierarchy, path, end, NULL, place) < 0 || rmdir(place) < 0)
            continue; /* a directory that was never made, or one that somebody else uses by now */
}
