/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/ctl/trace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatcher/ctl/podmons.h"
#include "podmon/cgroup_tree.h"
#include "shared/cleanup.h"
#include "shared/file.h"
#include "shared/layout.h"
#include "shared/text.h"

enum { TABLE_MAX = 64 * 1024 * 1024, UNIT_MAX = 64 * 1024, LEASE_MAX = 4096 };

static const char LEASES[] = "/var/lib/cni/networks";
static const char UNITS[] = "/run/systemd/transient";

/* ---- pure */

bool trace_is_litter(TraceKind kind, OwnerState owner)
{
    switch (owner) {
    case OWNER_NONE:
    case OWNER_BROKEN:
        return true;
    case OWNER_ENDED: /* Its records stay until it is removed; a keeper of a terminal ends itself.
                       */
        return kind == TRACE_UNIT || kind == TRACE_GROUP || kind == TRACE_MOUNT;
    case OWNER_WAITING:
        return kind == TRACE_POD;
    case OWNER_LIVES:
        break;
    }
    return false;
}

bool trace_parse_name(const char *name, char ret[ID_SHORT + 1])
{
    size_t size = strlen(name), suffix = strlen(".scope");
    const char *digits;

    if (size > suffix && strcmp(name + size - suffix, ".scope") == 0)
        size -= suffix;
    if (!text_starts_with(name, "pod-") || size < strlen("pod-") + 1 + ID_SHORT)
        return false;
    digits = name + size - ID_SHORT;
    if (digits[-1] != '-' || strspn(digits, "0123456789abcdef") < ID_SHORT)
        return false;
    memcpy(ret, digits, ID_SHORT);
    ret[ID_SHORT] = '\0';
    return true;
}

const char *trace_kind_name(TraceKind kind)
{
    static const char *const names[] = {
        [TRACE_POD] = "pod",      [TRACE_PROCESS] = "process", [TRACE_UNIT] = "unit",
        [TRACE_GROUP] = "cgroup", [TRACE_MOUNT] = "mount",     [TRACE_DIRECTORY] = "directory",
        [TRACE_LEASE] = "lease",
    };

    return names[kind];
}

/* ---- the list */

void traces_done(Traces *traces)
{
    for (size_t i = 0; i < traces->count; i++)
        free(traces->items[i].what);
    free(traces->items);
    *traces = (Traces){0};
}

/* What is there twice, a cgroup in several hierarchies or a mount upon another, is one. */
int traces_add(Traces *traces, TraceKind kind, const char *id, const char *what)
{
    Trace *items;

    for (size_t i = 0; i < traces->count; i++)
        if (traces->items[i].kind == kind && strcmp(traces->items[i].what, what) == 0)
            return 0;
    items = realloc(traces->items, (traces->count + 1) * sizeof(*items));
    if (!items)
        return -ENOMEM;
    traces->items = items;
    items[traces->count] = (Trace){.kind = kind, .what = strdup(what)};
    if (!items[traces->count].what)
        return -ENOMEM;
    (void)stpncpy(items[traces->count].id, id, ID_LENGTH);
    traces->count++;
    return 0;
}

/* ---- where to look */

static void cleanup_closedir(DIR **directory)
{
    if (*directory)
        (void)closedir(*directory);
}

/* Calls `take` for each name in the directory, which need not be there. */
static int each_name(const char *path, int (*take)(void *data, const char *path, const char *name),
                     void *data)
{
    CLEANUP(cleanup_closedir) DIR *stream = opendir(path);
    const struct dirent *item;
    int r = 0;

    if (!stream)
        return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
    while (r == 0 && (item = readdir(stream)))
        if (strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0)
            r = take(data, path, item->d_name);
    return r;
}

static int add_below(Traces *traces, TraceKind kind, const char *id, const char *path,
                     const char *name)
{
    char whole[PATH_MAX];

    if (snprintf(whole, sizeof(whole), "%s/%s", path, name) >= PATH_MAX)
        return -ENAMETOOLONG;
    return traces_add(traces, kind, id, whole);
}

/* A pod's directory, or one that has not got its name yet (".<id>.new"). */
static int take_directory(void *data, const char *path, const char *name)
{
    char id[ID_SIZE] = "";

    if (id_is_valid(name))
        return add_below(data, TRACE_DIRECTORY, name, path, name);
    if (*name != '.' || strlen(name) != ID_LENGTH + strlen("..new"))
        return 0;
    memcpy(id, name + 1, ID_LENGTH);
    return id_is_valid(id) && strcmp(name + 1 + ID_LENGTH, ".new") == 0
               ? add_below(data, TRACE_DIRECTORY, id, path, name)
               : 0;
}

static int take_process(void *data, const PodmonProcess *process)
{
    Traces *traces = data;
    char number[16];
    int r;

    if (!process->ours)
        return 0;
    (void)snprintf(number, sizeof(number), "%d", (int)process->pid);
    r = traces_add(traces, TRACE_PROCESS, process->id, number);
    if (r == 0)
        traces->items[traces->count - 1].start_time = process->start_time;
    return r;
}

typedef struct GroupSearch {
    Traces *traces;
    const char *parent;
} GroupSearch;

static int take_group(void *data, const char *path, const char *name)
{
    const GroupSearch *search = data;
    char id[ID_SHORT + 1];

    (void)path;
    return trace_parse_name(name, id)
               ? add_below(search->traces, TRACE_GROUP, id, search->parent, name)
               : 0;
}

static int find_groups(const TraceDirectories *directories, Traces *traces, Failure *why)
{
    const CgroupTree *tree;
    char place[PATH_MAX];
    int r = cgroup_tree_get(&tree, why);

    if (r < 0)
        return r;
    for (char *const *parent = directories->parents; parent && *parent; parent++)
        for (size_t i = 0; r >= 0 && i < tree->count; i++) {
            GroupSearch search = {traces, *parent};

            r = cgroup_place(&tree->hierarchies[i], *parent, strlen(*parent), NULL, place);
            if (r >= 0)
                r = each_name(place, take_group, &search);
        }
    return r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot look at the cgroups") : 0;
}

typedef struct UnitSearch {
    Traces *traces;
    char *const *parents;
} UnitSearch;

/* A scope that systemd knows has a file here, which names its slice. */
static int take_unit(void *data, const char *path, const char *name)
{
    const UnitSearch *search = data;
    AUTO_FREE char *text = NULL;
    char file[PATH_MAX], line[NAME_MAX + 16], id[ID_SHORT + 1];

    if (!trace_parse_name(name, id) || strcmp(name + strlen(name) - 6, ".scope") != 0 ||
        snprintf(file, sizeof(file), "%s/%s", path, name) >= PATH_MAX ||
        file_read_at(AT_FDCWD, file, UNIT_MAX, &text, NULL) < 0)
        return 0;
    for (char *const *parent = search->parents; parent && *parent; parent++) {
        const char *slash = strrchr(*parent, '/');

        (void)snprintf(line, sizeof(line), "\nSlice=%.*s\n", NAME_MAX,
                       slash ? slash + 1 : "-.slice");
        if (strstr(text, line))
            return traces_add(search->traces, TRACE_UNIT, id, name);
    }
    return 0;
}

/* In mountinfo a blank, a tab, a line's end and a backslash are three octal digits. */
static void decode(char *path)
{
    char *to = path;

    for (const char *from = path; *from; from++) {
        if (*from == '\\' && strspn(from + 1, "01234567") >= 3) {
            *to++ = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 3;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
}

static int take_mount(Traces *traces, const char *pods, const char *place)
{
    char id[ID_SIZE] = "";
    size_t length = strlen(pods);

    if (!text_starts_with(place, pods) || place[length] != '/' ||
        strlen(place + length + 1) < ID_LENGTH)
        return 0;
    memcpy(id, place + length + 1, ID_LENGTH);
    return id_is_valid(id) ? traces_add(traces, TRACE_MOUNT, id, place) : 0;
}

/* 36 25 0:31 / /run/podmon/pods/…/netns rw,… - nsfs nsfs rw */
static int find_mounts(const char *const pods[2], Traces *traces)
{
    AUTO_FREE char *table = NULL;
    char *lines = NULL;
    int r = file_read_virtual_at(AT_FDCWD, "/proc/self/mountinfo", TABLE_MAX, &table, NULL);

    for (char *line = r < 0 ? NULL : strtok_r(table, "\n", &lines); line && r >= 0;
         line = strtok_r(NULL, "\n", &lines)) {
        char *words = NULL, *place = strtok_r(line, " ", &words);

        for (int field = 1; place && field < 5; field++)
            place = strtok_r(NULL, " ", &words);
        if (!place)
            continue;
        decode(place);
        for (size_t i = 0; r >= 0 && i < 2; i++)
            r = take_mount(traces, pods[i], place);
    }
    return r < 0 ? r : 0;
}

/* The file is named by the address; its first line is whose it is. */
static int take_lease(void *data, const char *path, const char *name)
{
    AUTO_FREE char *text = NULL;
    char file[PATH_MAX];

    if (snprintf(file, sizeof(file), "%s/%s", path, name) >= PATH_MAX ||
        file_read_at(AT_FDCWD, file, LEASE_MAX, &text, NULL) < 0)
        return 0;
    text[strcspn(text, "\r\n")] = '\0';
    return id_is_valid(text) ? traces_add(data, TRACE_LEASE, text, file) : 0;
}

static int take_network(void *data, const char *path, const char *name)
{
    char directory[PATH_MAX];

    if (snprintf(directory, sizeof(directory), "%s/%s", path, name) >= PATH_MAX)
        return 0;
    return each_name(directory, take_lease, data);
}

/* ---- all of it */

/* Links resolved, as the table of mounts has it. */
static int resolve_pods(const char *base, char *ret)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s/" LAYOUT_PODS, base) >= PATH_MAX)
        return -ENAMETOOLONG;
    if (!realpath(path, ret))
        (void)stpcpy(ret, path); /* Not there: then nothing is in it. */
    return 0;
}

int traces_find(const TraceDirectories *directories, Traces *ret, Failure *why)
{
    CLEANUP(traces_done) Traces traces = {0};
    UnitSearch units = {&traces, directories->parents};
    char run[PATH_MAX], root[PATH_MAX];
    int r = resolve_pods(directories->run, run);

    if (r == 0)
        r = resolve_pods(directories->root, root);
    if (r == 0)
        r = podmons_each(directories->run, take_process, &traces);
    if (r == 0)
        r = each_name(UNITS, take_unit, &units);
    if (r == 0)
        r = find_mounts((const char *const[]){run, root}, &traces);
    if (r == 0)
        r = each_name(run, take_directory, &traces);
    if (r == 0)
        r = each_name(root, take_directory, &traces);
    if (r == 0)
        r = each_name(LEASES, take_network, &traces);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot look for what was left behind");
    r = find_groups(directories, &traces, why);
    if (r < 0)
        return r;
    *ret = traces;
    traces = (Traces){0};
    return 0;
}
