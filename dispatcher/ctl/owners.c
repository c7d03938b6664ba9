/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/ctl/owners.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "dispatcher/ctl/podmons.h"
#include "podmon.pb-c.h"
#include "shared/cleanup.h"
#include "shared/layout.h"
#include "shared/record.h"
#include "shared/text.h"

/* Where the pods' directories are, and what is found in them. */
typedef struct Reading {
    char run[PATH_MAX], root[PATH_MAX]; /* the directories of pods */
    char boot_id[LAYOUT_BOOT_ID_SIZE];
    Owners *owners;
} Reading;

static void cleanup_closedir(DIR **directory)
{
    if (*directory)
        (void)closedir(*directory);
}

static int add(Owners *owners, const char *id, OwnerState state, Owner **ret)
{
    Owner *items = realloc(owners->items, (owners->count + 1) * sizeof(*items));

    if (!items)
        return -ENOMEM;
    owners->items = items;
    *ret = &items[owners->count++];
    **ret = (Owner){.state = state};
    (void)stpncpy((*ret)->id, id, ID_LENGTH);
    return 0;
}

/* The root of the hierarchies is "". */
static int add_parent(Owners *owners, const char *path, size_t size)
{
    AUTO_FREE char *copy = strndup(path, size);

    if (!copy)
        return -ENOMEM;
    for (size_t i = 0; owners->parents && owners->parents[i]; i++)
        if (strcmp(owners->parents[i], copy) == 0)
            return 0;
    return text_list_add(&owners->parents, copy);
}

/* "a-b.slice" is "/a.slice/a-b.slice" (systemd.slice(5)). */
static int add_slice(Owners *owners, const char *slice)
{
    CLEANUP(text_done) Text path = {0};
    int r = 0;

    if (strcmp(slice, "/") == 0 || strcmp(slice, "-.slice") == 0)
        return add_parent(owners, "", 0);
    if (*slice == '/')
        return add_parent(owners, slice, strlen(slice));
    for (const char *dash = strchr(slice, '-'); dash && r >= 0; dash = strchr(dash + 1, '-'))
        r = text_print(&path, "/%.*s.slice", (int)(dash - slice), slice);
    if (r >= 0)
        r = text_print(&path, "/%s", slice);
    return r < 0 ? r : add_parent(owners, path.data, path.size);
}

/* The record, else its copy; NULL. */
static Podmon__PodRecord *read_record(int run_fd, int root_fd, const char *id)
{
    const int fds[] = {run_fd, root_fd};

    for (size_t i = 0; i < 2; i++) {
        ProtobufCMessage *message = NULL;
        Podmon__PodRecord *record;

        if (fds[i] < 0 || record_read_at(fds[i], LAYOUT_STATE, &podmon__pod_record__descriptor,
                                         NULL, &message) < 0)
            continue;
        record = (Podmon__PodRecord *)message;
        if (record->spec && strcmp(record->spec->id, id) == 0)
            return record;
        podmon__pod_record__free_unpacked(record, NULL);
    }
    return NULL;
}

static int open_pod(const char *pods, const char *id)
{
    char path[PATH_MAX + ID_SIZE];

    (void)snprintf(path, sizeof(path), "%s/%s", pods, id);
    return open(path, O_DIRECTORY | O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

static int take_record(const Reading *reading, Owner *owner, const Podmon__PodRecord *record)
{
    const Podmon__PodName *name = record->spec->name;
    const char *slash = strrchr(record->cgroup, '/');

    owner->state = strcmp(record->boot_id, reading->boot_id) != 0 ||
                           record->phase == PODMON__POD_PHASE__POD_STOPPED
                       ? OWNER_ENDED
                       : OWNER_WAITING;
    if (name && asprintf(&owner->name, "%s/%s", name->namespace_, name->name) < 0)
        return -ENOMEM;
    return slash ? add_parent(reading->owners, record->cgroup, (size_t)(slash - record->cgroup))
                 : 0;
}

/* The lock is looked at last: a podmon that has come meanwhile counts. */
static int read_pod(const Reading *reading, const char *id)
{
    AUTO_CLOSE int run_fd = open_pod(reading->run, id);
    AUTO_CLOSE int root_fd = open_pod(reading->root, id);
    Podmon__PodRecord *record = read_record(run_fd, root_fd, id);
    Owner *owner;
    int r = add(reading->owners, id, OWNER_BROKEN, &owner);

    if (r == 0 && record)
        r = take_record(reading, owner, record);
    if (record)
        podmon__pod_record__free_unpacked(record, NULL);
    /* A lock that cannot be asked may be held. */
    if (r == 0 && run_fd >= 0 && layout_pod_is_alive(run_fd) != 0)
        owner->state = OWNER_LIVES;
    return r;
}

static int read_directory(const Reading *reading, const char *pods)
{
    CLEANUP(cleanup_closedir) DIR *stream = opendir(pods);
    const struct dirent *item;
    int r = 0;

    if (!stream)
        return errno == ENOENT ? 0 : -errno;
    while (r == 0 && (item = readdir(stream)))
        if (id_is_valid(item->d_name) && owners_find(reading->owners, item->d_name) == OWNER_NONE)
            r = read_pod(reading, item->d_name);
    return r;
}

/* A podmon with other directories: its pod is nothing of ours, whatever its name is. */
static int take_stranger(void *data, const PodmonProcess *process)
{
    const Reading *reading = data;
    Owner *owner;

    if (process->ours)
        return 0;
    return add(reading->owners, process->id, OWNER_LIVES, &owner);
}

int owners_read(const char *run_dir, const char *root_dir, const char *slice, Owners *ret,
                Failure *why)
{
    CLEANUP(owners_done) Owners owners = {0};
    Reading reading = {.owners = &owners};
    int r = layout_read_boot_id(reading.boot_id);

    if (snprintf(reading.run, sizeof(reading.run), "%s/" LAYOUT_PODS, run_dir) >= PATH_MAX ||
        snprintf(reading.root, sizeof(reading.root), "%s/" LAYOUT_PODS, root_dir) >= PATH_MAX)
        r = -ENAMETOOLONG;
    if (r >= 0)
        r = add_slice(&owners, slice);
    if (r >= 0)
        r = read_directory(&reading, reading.run);
    if (r >= 0)
        r = read_directory(&reading, reading.root);
    if (r >= 0)
        r = podmons_each(run_dir, take_stranger, &reading);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot read which pods there are");
    *ret = owners;
    owners = (Owners){0};
    return 0;
}

void owners_done(Owners *owners)
{
    for (size_t i = 0; i < owners->count; i++)
        free(owners->items[i].name);
    free(owners->items);
    text_list_free(owners->parents);
    *owners = (Owners){0};
}

OwnerState owners_find(const Owners *owners, const char *prefix)
{
    size_t length = strlen(prefix);
    OwnerState found = OWNER_NONE;

    /* Of two that begin alike the one that is better off: doubt is no litter. */
    for (size_t i = 0; i < owners->count; i++)
        if (strncmp(owners->items[i].id, prefix, length) == 0 && owners->items[i].state > found)
            found = owners->items[i].state;
    return found;
}
