/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "dispatcher/cri/check.h"
#include "dispatcher/cri/lower_part.h"
#include "shared/path.h"
#include "shared/text.h"

enum { MOUNTS_MAX = 4096 };

/* Who decides whether a mount that everybody has is read-only. */
typedef enum Writable {
    WRITABLE_ALWAYS,
    WRITABLE_PRIVILEGED, /* in privileged containers */
    WRITABLE_ROOTFS,     /* like the container's root */
} Writable;

/* What every container has. */
static const struct {
    Podmon__MountKind kind;
    const char *destination;
    const char *source;
    const char *data;
    Writable writable;
    bool no_exec, no_dev;
} DEFAULTS[] = {
    {PODMON__MOUNT_KIND__MOUNT_PROC, "/proc", "", "", WRITABLE_ALWAYS, true, true},
    {PODMON__MOUNT_KIND__MOUNT_DEV, "/dev", "", "mode=755,size=65536k", WRITABLE_ALWAYS, false,
     false},
    {PODMON__MOUNT_KIND__MOUNT_DEVPTS, "/dev/pts", "", "newinstance,ptmxmode=0666,mode=0620,gid=5",
     WRITABLE_ALWAYS, true, false},
    {PODMON__MOUNT_KIND__MOUNT_MQUEUE, "/dev/mqueue", "", "", WRITABLE_ALWAYS, true, true},
    {PODMON__MOUNT_KIND__MOUNT_SHM, "/dev/shm", "", "", WRITABLE_ALWAYS, true, true},
    {PODMON__MOUNT_KIND__MOUNT_SYSFS, "/sys", "", "", WRITABLE_PRIVILEGED, true, true},
    {PODMON__MOUNT_KIND__MOUNT_CGROUP, "/sys/fs/cgroup", "", "", WRITABLE_PRIVILEGED, true, true},
    {PODMON__MOUNT_KIND__MOUNT_POD_FILE, "/etc/hosts", "hosts", "", WRITABLE_ROOTFS, false, false},
    {PODMON__MOUNT_KIND__MOUNT_POD_FILE, "/etc/resolv.conf", "resolv.conf", "", WRITABLE_ROOTFS,
     false, false},
    {PODMON__MOUNT_KIND__MOUNT_POD_FILE, "/etc/hostname", "hostname", "", WRITABLE_ROOTFS, false,
     false},
};

enum { DEFAULTS_COUNT = sizeof(DEFAULTS) / sizeof(DEFAULTS[0]) };

/* Files below /proc that lxcfs and its like show their own view of. Nothing else may be mounted
 * there: what tells processes about themselves must be the kernel's. */
static const char *const PROC_FILES[] = {
    "/proc/cpuinfo", "/proc/diskstats", "/proc/loadavg",
    "/proc/meminfo", "/proc/slabinfo",  "/proc/stat",
    "/proc/swaps",   "/proc/uptime",    "/proc/sys/kernel/ns_last_pid",
};

/* `path` is `parent` or below it; both clean. */
static bool is_below(const char *path, const char *parent)
{
    size_t length = strlen(parent);

    return strncmp(path, parent, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

static const char *check_destination(const char *clean)
{
    if (strcmp(clean, "/") == 0)
        return "is the container's root";
    if (!is_below(clean, "/proc"))
        return NULL;
    for (size_t i = 0; i < sizeof(PROC_FILES) / sizeof(PROC_FILES[0]); i++)
        if (strcmp(clean, PROC_FILES[i]) == 0)
            return NULL;
    return "is the kernel's: nothing can be mounted there";
}

static int lower_options(const Runtime__V1__Mount *from, size_t position, Podmon__Mount *mount,
                         Failure *why)
{
    for (size_t i = 0; i < from->n_mount_options; i++) {
        const char *option = from->mount_options[i];

        if (strcmp(option, "noexec") == 0)
            mount->no_exec = true;
        else if (strcmp(option, "nodev") == 0)
            mount->no_dev = true;
        else if (strcmp(option, "nosuid") == 0)
            mount->no_suid = true;
        else
            return check_refuse(why, option, "is not noexec, nodev or nosuid",
                                "config.mounts[%zu].mount_options[%zu]", position, i);
    }
    return 0;
}

/* What cannot be. */
static int check_kind(const Runtime__V1__Mount *from, size_t position, Failure *why)
{
    if ((unsigned)from->propagation > RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_BIDIRECTIONAL)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "config.mounts[%zu].propagation: %d is not a propagation", position,
                           (int)from->propagation);
    if (from->recursive_read_only && !from->readonly)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "config.mounts[%zu].recursive_read_only: wants readonly as well",
                           position);
    if (from->recursive_read_only &&
        from->propagation != RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_PRIVATE)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "config.mounts[%zu].recursive_read_only: wants private propagation",
                           position);
    return 0;
}

static bool is_image(const Runtime__V1__Mount *from)
{
    return from->image && *from->image->image;
}

/* An image as a volume is read-only whatever is asked for; its layers are found by whoever has the
 * store. */
static int lower_image_volume(Arena *arena, const Runtime__V1__Mount *from, size_t position,
                              Podmon__Mount *mount, Failure *why)
{
    const char *problem = *from->image_sub_path ? check_relative_path(from->image_sub_path) : NULL;
    Podmon__ImageUse *use = arena_alloc(arena, sizeof(*use));

    if (*from->host_path)
        return check_refuse(why, from->host_path, "comes with an image",
                            "config.mounts[%zu].host_path", position);
    if (problem)
        return check_refuse(why, from->image_sub_path, problem, "config.mounts[%zu].image_sub_path",
                            position);
    if (from->propagation != RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_PRIVATE)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "config.mounts[%zu].propagation: an image is only mounted privately",
                           position);
    podmon__image_use__init(use);
    use->name = from->image->image;
    use->user_specified_image = from->image->user_specified_image;
    mount->kind = PODMON__MOUNT_KIND__MOUNT_IMAGE;
    mount->image = use;
    mount->sub_path = from->image_sub_path;
    mount->read_only = true;
    return 0;
}

static bool mappings_are(Runtime__V1__IDMapping *const *from, size_t count,
                         Podmon__IdMapping *const *expected, size_t expected_count)
{
    return count == expected_count &&
           (count == 0 || (from[0]->host_id == expected[0]->host_id &&
                           from[0]->container_id == expected[0]->container_id &&
                           from[0]->length == expected[0]->length));
}

/* None, or the pod's own: then the mount's owners are those of the pod's user namespace. */
static int lower_mappings(const Runtime__V1__Mount *from, size_t position,
                          const Podmon__Namespaces *namespaces, Podmon__Mount *mount, Failure *why)
{
    if (from->n_uidmappings + from->n_gidmappings == 0)
        return 0;
    if (!mappings_are(from->uidmappings, from->n_uidmappings, namespaces->uid_mappings,
                      namespaces->n_uid_mappings) ||
        !mappings_are(from->gidmappings, from->n_gidmappings, namespaces->gid_mappings,
                      namespaces->n_gid_mappings))
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "config.mounts[%zu].uidMappings and gidMappings: are not those of the "
                           "sandbox's user namespace",
                           position);
    mount->n_uid_mappings = namespaces->n_uid_mappings;
    mount->uid_mappings = namespaces->uid_mappings;
    mount->n_gid_mappings = namespaces->n_gid_mappings;
    mount->gid_mappings = namespaces->gid_mappings;
    return 0;
}

static int lower_mount(Arena *arena, const Runtime__V1__Mount *from, size_t position,
                       const Podmon__Namespaces *namespaces, Podmon__Mount **ret, Failure *why)
{
    static const Podmon__MountPropagation propagations[] = {
        [RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_PRIVATE] =
            PODMON__MOUNT_PROPAGATION__PROPAGATION_PRIVATE,
        [RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_HOST_TO_CONTAINER] =
            PODMON__MOUNT_PROPAGATION__PROPAGATION_HOST_TO_CONTAINER,
        [RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_BIDIRECTIONAL] =
            PODMON__MOUNT_PROPAGATION__PROPAGATION_BIDIRECTIONAL,
    };
    char clean[PATH_MAX];
    const char *problem = check_absolute_path(from->container_path);
    Podmon__Mount *mount = arena_alloc(arena, sizeof(*mount));
    int r;

    if (!problem && path_clean(from->container_path, clean) < 0)
        problem = "is longer than a path can be";
    if (!problem)
        problem = check_destination(clean);
    if (problem)
        return check_refuse(why, from->container_path, problem, "config.mounts[%zu].container_path",
                            position);
    r = check_kind(from, position, why);
    if (r < 0)
        return r;
    problem = is_image(from) ? NULL : check_absolute_path(from->host_path);
    if (problem)
        return check_refuse(why, from->host_path, problem, "config.mounts[%zu].host_path",
                            position);

    podmon__mount__init(mount);
    mount->kind = PODMON__MOUNT_KIND__MOUNT_BIND;
    mount->destination = arena_copy(arena, clean);
    mount->source = from->host_path;
    mount->read_only = from->readonly;
    mount->recursive_read_only = from->recursive_read_only;
    mount->propagation = propagations[from->propagation];
    mount->selinux_relabel = from->selinux_relabel;
    mount->requested = true;
    r = is_image(from) ? lower_image_volume(arena, from, position, mount, why) : 0;
    if (r >= 0)
        r = lower_options(from, position, mount, why);
    if (r >= 0)
        r = lower_mappings(from, position, namespaces, mount, why);
    if (r < 0)
        return r;
    *ret = mount;
    return 0;
}

/* A request's mount replaces the default one at that place; one at /dev brings all that is below
 * it, which must not be mounted over again: it can be the host's. */
static bool is_replaced(const char *destination, Podmon__Mount *const *requested, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *other = requested[i]->destination;

        if (strcmp(destination, other) == 0)
            return true;
        if (strcmp(other, "/dev") == 0 && is_below(destination, "/dev"))
            return true;
    }
    return false;
}

static Podmon__Mount *make_default(Arena *arena, size_t row, const Podmon__SecurityPlan *security)
{
    Podmon__Mount *mount = arena_alloc(arena, sizeof(*mount));

    podmon__mount__init(mount);
    mount->kind = DEFAULTS[row].kind;
    mount->destination = (char *)(uintptr_t)DEFAULTS[row].destination;
    mount->source = (char *)(uintptr_t)DEFAULTS[row].source;
    mount->data = (char *)(uintptr_t)DEFAULTS[row].data;
    mount->no_exec = DEFAULTS[row].no_exec;
    mount->no_dev = DEFAULTS[row].no_dev;
    mount->no_suid = DEFAULTS[row].kind != PODMON__MOUNT_KIND__MOUNT_POD_FILE;
    switch (DEFAULTS[row].writable) {
    case WRITABLE_ALWAYS:
        break;
    case WRITABLE_PRIVILEGED:
        mount->read_only = !security->privileged;
        break;
    case WRITABLE_ROOTFS:
        mount->read_only = security->read_only_rootfs;
        break;
    }
    return mount;
}

typedef struct Place {
    size_t depth;
    size_t position;
    Podmon__Mount *mount;
} Place;

static int place_compare(const void *left, const void *right)
{
    const Place *a = left, *b = right;

    if (a->depth != b->depth)
        return a->depth < b->depth ? -1 : 1;
    return a->position < b->position ? -1 : a->position > b->position;
}

/* By the number of components, in the given order among equals, so that a parent is mounted before
 * what lies below it. */
static void sort_mounts(Arena *arena, Podmon__Mount **mounts, size_t count)
{
    Place *places = arena_alloc_array(arena, count, sizeof(*places));

    for (size_t i = 0; i < count; i++) {
        places[i].position = i;
        places[i].mount = mounts[i];
        for (const char *c = mounts[i]->destination; *c; c++)
            places[i].depth += *c == '/';
    }
    qsort(places, count, sizeof(*places), place_compare);
    for (size_t i = 0; i < count; i++)
        mounts[i] = places[i].mount;
}

int lower_mounts(Arena *arena, const Runtime__V1__ContainerConfig *from,
                 Podmon__ContainerSpec *spec, Failure *why)
{
    size_t count = from->n_mounts;
    Podmon__Mount **requested;

    if (count > MOUNTS_MAX)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "config.mounts: %zu are more than %d",
                           count, MOUNTS_MAX);
    requested = arena_alloc_array(arena, count, sizeof(Podmon__Mount *));
    for (size_t i = 0; i < count; i++) {
        int r = lower_mount(arena, from->mounts[i], i, spec->namespaces, &requested[i], why);

        if (r < 0)
            return r;
    }

    spec->mounts = arena_alloc_array(arena, count + DEFAULTS_COUNT, sizeof(Podmon__Mount *));
    for (size_t i = 0; i < DEFAULTS_COUNT; i++)
        if (!is_replaced(DEFAULTS[i].destination, requested, count))
            spec->mounts[spec->n_mounts++] = make_default(arena, i, spec->security);
    for (size_t i = 0; i < count; i++)
        spec->mounts[spec->n_mounts++] = requested[i];
    sort_mounts(arena, spec->mounts, spec->n_mounts);
    return 0;
}
