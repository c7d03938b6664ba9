/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/mounts.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "podmon/devices.h"
#include "podmon/propagation.h"
#include "podmon/relabel.h"
#include "podmon/rootfs.h"
#include "podmon/userns.h"
#include "shared/cleanup.h"
#include "shared/fd.h"
#include "shared/text.h"

enum { MOUNTS_MAX = 4096 };

#define CGROUP_ROOT "/sys/fs/cgroup"
#define TREE_FLAGS (OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)

typedef struct Preparation {
    const SpawnContext *context;
    const Podmon__ContainerSpec *spec;
    DeviceList devices;
    bool make_tty;
    MountPlan *plan;
} Preparation;

/* Appends; the step owns fd and a copy of target. */
static int plan_add(MountPlan *plan, const char *target, int fd, MountStep **ret)
{
    AUTO_CLOSE int owned = fd;
    AUTO_FREE char *copy = strdup(target);
    size_t count = plan->steps_count;

    if (!copy)
        return -ENOMEM;
    if ((count & (count + 1)) == 0) {
        MountStep *grown = reallocarray(plan->steps, 2 * (count + 1), sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        plan->steps = grown;
    }
    plan->steps[count] = (MountStep){.fd = take_fd(&owned),
                                     .target = TAKE(copy),
                                     .target_kind = PATH_DIRECTORY,
                                     .relabel_fd = -1};
    *ret = &plan->steps[plan->steps_count++];
    return 0;
}

static unsigned int mount_attributes(const Podmon__Mount *mount)
{
    return (mount->read_only ? MOUNT_ATTR_RDONLY : 0U) | (mount->no_exec ? MOUNT_ATTR_NOEXEC : 0U) |
           (mount->no_dev ? MOUNT_ATTR_NODEV : 0U) | (mount->no_suid ? MOUNT_ATTR_NOSUID : 0U);
}

/* `options`: "key=value,flag,…". The name of the option that was refused stays in `ret_option`. */
static int make_file_system(const char *type, const char *options, unsigned int attributes,
                            const char *label, char ret_option[256])
{
    AUTO_CLOSE int fs_fd = fsopen(type, FSOPEN_CLOEXEC);
    int fd;

    (void)snprintf(ret_option, 256, "%s", type);
    if (fs_fd < 0)
        return -errno;
    for (const char *option = options; *option;) {
        size_t length = strcspn(option, ",");
        char *value;

        if (length >= 256)
            return -EINVAL;
        memcpy(ret_option, option, length);
        ret_option[length] = '\0';
        option += length + (option[length] == ',');
        value = strchr(ret_option, '=');
        if (value)
            *value = '\0';
        if (fsconfig(fs_fd, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, ret_option,
                     value ? value + 1 : NULL, 0) < 0)
            return -errno;
    }
    if (*label && fsconfig(fs_fd, FSCONFIG_SET_STRING, "context", label, 0) < 0)
        return -errno;
    if (fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -errno;
    fd = fsmount(fs_fd, FSMOUNT_CLOEXEC, attributes);
    return fd < 0 ? -errno : fd;
}

static int add_file_system(Preparation *preparation, const Podmon__Mount *mount, const char *target,
                           const char *type, const char *default_options, MountStep **ret,
                           Failure *why)
{
    char option[256];
    int fd = make_file_system(type, *mount->data ? mount->data : default_options,
                              mount_attributes(mount), preparation->plan->file_label, option);

    if (fd < 0)
        return failure_set(why, fd == -EINVAL ? FAILURE_INVALID_ARGUMENT : FAILURE_INTERNAL, -fd,
                           "mount \"%s\": cannot make a %s, at \"%s\"", target, type, option);
    return plan_add(preparation->plan, target, fd, ret);
}

static int set_attributes(int fd, unsigned int flags, uint64_t attributes, uint64_t propagation)
{
    struct mount_attr change = {.attr_set = attributes, .propagation = propagation};

    if (attributes == 0 && propagation == 0)
        return 0;
    return mount_setattr(fd, "", AT_EMPTY_PATH | flags, &change, sizeof(change)) < 0 ? -errno : 0;
}

/* A copy of what is mounted at `source` and below, with the attributes asked for. */
static int clone_tree(const char *source, const Podmon__Mount *mount)
{
    static const uint64_t propagations[] = {
        [PODMON__MOUNT_PROPAGATION__PROPAGATION_PRIVATE] = MS_PRIVATE,
        [PODMON__MOUNT_PROPAGATION__PROPAGATION_HOST_TO_CONTAINER] = MS_SLAVE,
        [PODMON__MOUNT_PROPAGATION__PROPAGATION_BIDIRECTIONAL] = MS_SHARED,
    };
    AUTO_CLOSE int fd = open_tree(AT_FDCWD, source, TREE_FLAGS | AT_RECURSIVE);
    uint64_t everywhere = mount->recursive_read_only ? MOUNT_ATTR_RDONLY : 0;
    int r;

    if (fd < 0)
        return -errno;
    if ((size_t)mount->propagation >= sizeof(propagations) / sizeof(propagations[0]))
        return -EINVAL;
    r = set_attributes(fd, AT_RECURSIVE, everywhere, propagations[mount->propagation]);
    if (r >= 0)
        r = set_attributes(fd, 0, mount_attributes(mount), 0);
    return r < 0 ? r : take_fd(&fd);
}

/* The owners of the files are then those of the pod's user namespace, which is what the mappings
 * of a mount say too: others were refused before. */
static int map_owners(const Preparation *preparation, const Podmon__Mount *mount, int fd,
                      const char *target, const char *source, Failure *why)
{
    int userns_fd = preparation->context->sandbox->userns_fd;
    struct mount_attr change = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (unsigned)userns_fd};

    if (mount->n_uid_mappings == 0)
        return 0;
    if (userns_fd < 0)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "mount \"%s\": id mappings in a pod without a user namespace of its own",
                           target);
    if (mount_setattr(fd, "", AT_EMPTY_PATH, &change, sizeof(change)) < 0)
        return failure_set(why, FAILURE_FAILED_PRECONDITION, errno,
                           "mount \"%s\": the file system of host path \"%s\" cannot be mounted "
                           "with mapped ids",
                           target, source);
    return 0;
}

/* Only what was asked for, and never what the host itself consists of. */
static int add_relabel(const Preparation *preparation, const Podmon__Mount *mount, MountStep *step,
                       const char *source, Failure *why)
{
    if (!mount->selinux_relabel || !*preparation->plan->file_label)
        return 0;
    step->relabel_fd = open(source, O_PATH | O_CLOEXEC);
    if (step->relabel_fd < 0)
        return failure_set(why, FAILURE_INTERNAL, errno,
                           "mount \"%s\": cannot open host path \"%s\"", step->target, source);
    if (!relabel_is_allowed(step->relabel_fd))
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "mount \"%s\": selinux_relabel of \"%s\", which is a directory of the "
                           "host's own",
                           step->target, source);
    return 0;
}

static int add_bind(Preparation *preparation, const Podmon__Mount *mount, const char *target,
                    const char *source, Failure *why)
{
    struct stat status;
    MountStep *step;
    int fd, r;

    if (*source != '/')
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "mount \"%s\": host path \"%s\" is not absolute", target, source);
    fd = clone_tree(source, mount);
    if (fd < 0)
        return failure_set(
            why, fd == -ENOENT || fd == -ENOTDIR ? FAILURE_INVALID_ARGUMENT : FAILURE_INTERNAL, -fd,
            "mount \"%s\": cannot bind host path \"%s\"", target, source);
    r = plan_add(preparation->plan, target, fd, &step);
    if (r < 0)
        return r;
    r = map_owners(preparation, mount, step->fd, target, source, why);
    if (r >= 0)
        r = add_relabel(preparation, mount, step, source, why);
    if (r < 0)
        return r;
    r = propagation_check(source, mount->propagation, why);
    if (r < 0) {
        failure_prefix(why, "mount \"%s\"", target);
        return r;
    }
    if (fstat(step->fd, &status) < 0)
        return -errno;
    step->target_kind = S_ISDIR(status.st_mode) ? PATH_DIRECTORY : PATH_FILE;
    return 0;
}

static int add_run_entry(Preparation *preparation, const Podmon__Mount *mount, const char *target,
                         const char *name, Failure *why)
{
    char source[PATH_MAX];

    if (snprintf(source, sizeof(source), "%s/%s", preparation->context->run_path, name) >= PATH_MAX)
        return -ENAMETOOLONG;
    return add_bind(preparation, mount, target, source, why);
}

static int add_shm(Preparation *preparation, const Podmon__Mount *mount, const char *target,
                   Failure *why)
{
    const Podmon__Namespaces *namespaces = preparation->context->pod->namespaces;

    if (namespaces && namespaces->ipc == PODMON__NAMESPACE_MODE__NAMESPACE_NODE)
        return add_bind(preparation, mount, target, "/dev/shm", why);
    return add_run_entry(preparation, mount, target, "shm", why);
}

static int add_pod_file(Preparation *preparation, const Podmon__Mount *mount, const char *target,
                        Failure *why)
{
    static const char *const names[] = {"resolv.conf", "hostname", "hosts"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i], mount->source) == 0)
            return add_run_entry(preparation, mount, target, names[i], why);
    return failure_say(why, FAILURE_INVALID_ARGUMENT, "mount \"%s\": no pod file is called \"%s\"",
                       target, mount->source);
}

static int add_image(Preparation *preparation, const Podmon__Mount *mount, const char *target,
                     Failure *why)
{
    MountStep *step;
    int fd = -1, r;

    r = rootfs_mount(mount->layers, mount->n_layers, NULL, NULL,
                     preparation->context->sandbox->userns_fd, preparation->plan->file_label, &fd,
                     why);
    if (r < 0) {
        failure_prefix(why, "mount \"%s\"", target);
        return r;
    }
    r = set_attributes(fd, 0, mount_attributes(mount) | MOUNT_ATTR_RDONLY, 0);
    if (r < 0) {
        (void)close(fd);
        return r;
    }
    r = plan_add(preparation->plan, target, fd, &step);
    if (r >= 0 && *mount->sub_path)
        step->sub_path = mount->sub_path;
    return r;
}

static int add_new(Preparation *preparation, const Podmon__Mount *mount, const char *target,
                   const char *type, bool is_exact)
{
    MountStep *step;
    int r = plan_add(preparation->plan, target, -1, &step);

    if (r < 0)
        return r;
    step->type = type;
    step->attributes = mount_attributes(mount);
    step->is_exact = is_exact;
    return 0;
}

static int add_dev(Preparation *preparation, const Podmon__Mount *mount, const char *target,
                   Failure *why)
{
    Podmon__Mount owned = *mount;
    MountStep *step;
    char data[256];
    int r;

    if (strcmp(target, "/dev") != 0)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "mount \"%s\": device nodes belong to /dev", target);
    if (snprintf(data, sizeof(data), "%s,uid=%u,gid=%u",
                 *mount->data ? mount->data : "mode=0755,size=65536k", preparation->plan->owner_uid,
                 preparation->plan->owner_gid) >= (int)sizeof(data))
        return -ENAMETOOLONG;
    owned.data = data;
    r = add_file_system(preparation, &owned, target, "tmpfs", "", &step, why);
    if (r < 0)
        return r;
    step->is_exact = true;
    return devices_populate(step->fd, &preparation->devices, why);
}

static int add_devpts(Preparation *preparation, const Podmon__Mount *mount, const char *target,
                      Failure *why)
{
    const Podmon__Namespaces *namespaces = preparation->context->pod->namespaces;
    MountPlan *plan = preparation->plan;
    Podmon__Mount mapped = *mount;
    MountStep *step;
    char data[64];
    int r;

    /* Group 5 is tty, in the container. */
    if (userns_is_own(namespaces)) {
        (void)snprintf(data, sizeof(data), "newinstance,ptmxmode=0666,mode=0620,gid=%u",
                       userns_host_gid(namespaces, 5));
        mapped.data = data;
    }
    r = add_file_system(preparation, &mapped, target, "devpts",
                        "newinstance,ptmxmode=0666,mode=0620,gid=5", &step, why);
    if (r < 0 || !preparation->make_tty || plan->tty_master >= 0)
        return r;
    r = mounts_open_pty(step->fd, "ptmx", &plan->tty_master, &plan->tty_slave);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot open a terminal for the container");
    step->has_console = true;
    return 0;
}

/* One v1 hierarchy: the container's own group, seen as if it were the root. Another name for a
 * hierarchy ("cpu" for "cpu,cpuacct") is a link, as on the host. */
static int add_hierarchy(Preparation *preparation, const Podmon__Mount *mount, const char *target,
                         int tmpfs_fd, const char *name)
{
    char source[PATH_MAX], inside[PATH_MAX], link[NAME_MAX + 1];
    MountStep *step;
    ssize_t length;
    int fd, r;

    if (snprintf(source, sizeof(source), CGROUP_ROOT "/%s", name) >= PATH_MAX ||
        snprintf(inside, sizeof(inside), "%s/%s", target, name) >= PATH_MAX)
        return -ENAMETOOLONG;
    length = readlink(source, link, sizeof(link) - 1);
    if (length > 0) {
        link[length] = '\0';
        return symlinkat(link, tmpfs_fd, name) < 0 ? -errno : 0;
    }
    if (snprintf(source, sizeof(source), CGROUP_ROOT "/%s%s", name,
                 preparation->context->cgroup_path) >= PATH_MAX)
        return -ENAMETOOLONG;
    fd = open_tree(AT_FDCWD, source, TREE_FLAGS);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
    r = set_attributes(fd, 0, mount_attributes(mount), MS_PRIVATE);
    if (r >= 0 && mkdirat(tmpfs_fd, name, 0755) < 0)
        r = -errno;
    if (r < 0) {
        (void)close(fd);
        return r;
    }
    return plan_add(preparation->plan, inside, fd, &step);
}

/* cgroup v1 and hybrid: one mount per hierarchy in a tmpfs. */
static int add_hierarchies(Preparation *preparation, const Podmon__Mount *mount, const char *target,
                           Failure *why)
{
    Podmon__Mount writable = *mount;
    MountStep *step;
    DIR *directory;
    int tmpfs_fd, r;

    writable.read_only = false;
    writable.data = (char *)(uintptr_t) "mode=0755,size=64k";
    r = add_file_system(preparation, &writable, target, "tmpfs", "", &step, why);
    if (r < 0)
        return r;
    tmpfs_fd = step->fd;
    directory = opendir(CGROUP_ROOT);
    if (!directory)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot open " CGROUP_ROOT);
    for (struct dirent *entry;
         r >= 0 && preparation->context->cgroup_path && (entry = readdir(directory));)
        if (*entry->d_name != '.')
            r = add_hierarchy(preparation, mount, target, tmpfs_fd, entry->d_name);
    (void)closedir(directory);
    if (r >= 0 && mount->read_only)
        r = set_attributes(tmpfs_fd, 0, MOUNT_ATTR_RDONLY, 0);
    return r;
}

static int add_cgroup(Preparation *preparation, const Podmon__Mount *mount, const char *target,
                      Failure *why)
{
    struct statfs status;

    if (statfs(CGROUP_ROOT, &status) < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot look at " CGROUP_ROOT);
    if (status.f_type == CGROUP2_SUPER_MAGIC)
        return add_new(preparation, mount, target, "cgroup2", false);
    return add_hierarchies(preparation, mount, target, why);
}

static int check_mount(const Podmon__Mount *mount, char ret_target[PATH_MAX], Failure *why)
{
    if (path_clean(mount->destination, ret_target) < 0)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "mount \"%.300s\": the container path is not absolute",
                           mount->destination);
    if (!ret_target[1])
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "mount \"%s\": nothing can be mounted over the container's root",
                           mount->destination);
    if (mount->kind != PODMON__MOUNT_KIND__MOUNT_PROC &&
        (strcmp(ret_target, "/proc") == 0 || text_starts_with(ret_target, "/proc/")))
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "mount \"%s\": nothing can be mounted at or below /proc", ret_target);
    return 0;
}

static int add_mount(Preparation *preparation, const Podmon__Mount *mount, Failure *why)
{
    char target[PATH_MAX];
    MountStep *step;
    int r = check_mount(mount, target, why);

    if (r < 0)
        return r;
    switch (mount->kind) {
    case PODMON__MOUNT_KIND__MOUNT_BIND:
        return add_bind(preparation, mount, target, mount->source, why);
    case PODMON__MOUNT_KIND__MOUNT_TMPFS:
        return add_file_system(preparation, mount, target, "tmpfs", "mode=1777", &step, why);
    case PODMON__MOUNT_KIND__MOUNT_PROC:
        return add_new(preparation, mount, target, "proc", true);
    case PODMON__MOUNT_KIND__MOUNT_SYSFS:
        return add_new(preparation, mount, target, "sysfs", true);
    case PODMON__MOUNT_KIND__MOUNT_DEV:
        return add_dev(preparation, mount, target, why);
    case PODMON__MOUNT_KIND__MOUNT_DEVPTS:
        return add_devpts(preparation, mount, target, why);
    case PODMON__MOUNT_KIND__MOUNT_MQUEUE:
        return add_new(preparation, mount, target, "mqueue", false);
    case PODMON__MOUNT_KIND__MOUNT_CGROUP:
        return add_cgroup(preparation, mount, target, why);
    case PODMON__MOUNT_KIND__MOUNT_SHM:
        return add_shm(preparation, mount, target, why);
    case PODMON__MOUNT_KIND__MOUNT_POD_FILE:
        return add_pod_file(preparation, mount, target, why);
    case PODMON__MOUNT_KIND__MOUNT_IMAGE:
        return add_image(preparation, mount, target, why);
    case _PODMON__MOUNT_KIND_IS_INT_SIZE:
        break;
    }
    return failure_say(why, FAILURE_INVALID_ARGUMENT, "mount \"%s\": kind %d is not known", target,
                       (int)mount->kind);
}

/* Devices that do not belong to /dev are bound, because nothing is made in an image's files. */
static int add_outer_devices(Preparation *preparation, Failure *why)
{
    const Podmon__Mount plain = PODMON__MOUNT__INIT;

    for (size_t i = 0; i < preparation->devices.count; i++) {
        const Device *device = &preparation->devices.devices[i];
        int r;

        if (text_starts_with(device->container_path, "/dev/"))
            continue;
        r = add_bind(preparation, &plain, device->container_path, device->host_path, why);
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_directories(Preparation *preparation, Failure *why)
{
    const Podmon__ContainerSpec *spec = preparation->spec;
    char path[PATH_MAX];

    for (size_t i = 0; i <= spec->n_volumes; i++) {
        const char *directory = i < spec->n_volumes ? spec->volumes[i]
                                : *spec->cwd        ? spec->cwd
                                                    : "/";

        if (path_clean(directory, path) < 0)
            return failure_say(why, FAILURE_INVALID_ARGUMENT, "%s \"%.300s\" is not absolute",
                               i < spec->n_volumes ? "volume" : "working directory", directory);
        if (text_list_add(&preparation->plan->directories, path) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int check_paths(const char *what, char *const *paths, size_t count, Failure *why)
{
    for (size_t i = 0; i < count; i++)
        if (!path_is_clean(paths[i]) || !paths[i][1])
            return failure_say(why, FAILURE_INVALID_ARGUMENT, "%s path \"%.300s\" is not absolute",
                               what, paths[i]);
    return 0;
}

static int add_masks(Preparation *preparation, Failure *why)
{
    const Podmon__SecurityPlan *security = preparation->spec->security;
    MountPlan *plan = preparation->plan;
    struct stat status;
    char option[256];
    int r;

    if (!security)
        return 0;
    if ((r = check_paths("masked", security->masked_paths, security->n_masked_paths, why)) < 0 ||
        (r = check_paths("read-only", security->read_only_paths, security->n_read_only_paths,
                         why)) < 0)
        return r;
    plan->masked_paths = security->masked_paths;
    plan->masked_count = security->n_masked_paths;
    plan->read_only_paths = security->read_only_paths;
    plan->read_only_count = security->n_read_only_paths;
    plan->read_only_root = security->read_only_rootfs;
    if (plan->masked_count == 0)
        return 0;
    plan->null_fd = open_tree(AT_FDCWD, "/dev/null", TREE_FLAGS);
    if (plan->null_fd < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot take hold of /dev/null");
    if (fstat(plan->null_fd, &status) < 0 || !S_ISCHR(status.st_mode) ||
        status.st_rdev != makedev(1, 3))
        return failure_say(why, FAILURE_FAILED_PRECONDITION, "the host's /dev/null is not one");
    plan->empty_fd = make_file_system("tmpfs", "size=0,nr_inodes=1,mode=0555",
                                      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                          MOUNT_ATTR_NOEXEC,
                                      plan->file_label, option);
    if (plan->empty_fd < 0)
        return failure_set(why, FAILURE_INTERNAL, -plan->empty_fd,
                           "cannot make an empty directory");
    return 0;
}

static int prepare(Preparation *preparation, Failure *why)
{
    const Podmon__ContainerSpec *spec = preparation->spec;
    int r;

    if (spec->n_mounts > MOUNTS_MAX)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "%zu mounts are more than %d",
                           spec->n_mounts, MOUNTS_MAX);
    r = devices_list(spec, &preparation->devices, why);
    for (size_t i = 0; r >= 0 && i < spec->n_mounts; i++)
        r = add_mount(preparation, spec->mounts[i], why);
    if (r >= 0)
        r = add_outer_devices(preparation, why);
    if (r >= 0)
        r = add_directories(preparation, why);
    if (r >= 0)
        r = add_masks(preparation, why);
    if (r >= 0 && preparation->make_tty && preparation->plan->tty_master < 0)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "a terminal needs a mount of devpts");
    return r;
}

int mounts_prepare(const SpawnContext *context, const Podmon__ContainerSpec *spec, bool make_tty,
                   MountPlan *ret, Failure *why)
{
    MountPlan plan = MOUNT_PLAN_EMPTY;
    Preparation preparation = {context, spec, {0}, make_tty, &plan};
    Labels labels;
    int r;

    plan.place = context->run_path;
    plan.owner_uid = userns_host_uid(context->pod->namespaces, 0);
    plan.owner_gid = userns_host_gid(context->pod->namespaces, 0);
    /* Whoever fails without a sentence of its own is out of memory or names. */
    if (why)
        why->code = FAILURE_NONE;
    r = labels_of(context->pod, spec->security, &labels, why);
    if (r >= 0) {
        memcpy(plan.file_label, labels.file, sizeof(labels.file));
        r = prepare(&preparation, why);
    }
    devices_done(&preparation.devices);
    if (r < 0) {
        mounts_done(&plan);
        if (why && why->code == FAILURE_NONE)
            return failure_set(why, FAILURE_INTERNAL, -r, "cannot prepare the container's mounts");
        return r;
    }
    *ret = plan;
    return 0;
}

void mounts_done(MountPlan *plan)
{
    for (size_t i = 0; i < plan->steps_count; i++) {
        fd_close(&plan->steps[i].fd);
        fd_close(&plan->steps[i].relabel_fd);
        free(plan->steps[i].target);
    }
    free(plan->steps);
    text_list_free(plan->directories);
    fd_close(&plan->null_fd);
    fd_close(&plan->empty_fd);
    fd_close(&plan->tty_master);
    fd_close(&plan->tty_slave);
    *plan = MOUNT_PLAN_EMPTY;
}

int mounts_open_pty(int dir_fd, const char *name, int *ret_master, int *ret_slave)
{
    AUTO_CLOSE int path_fd = path_open_in_root(dir_fd, name, O_PATH | O_CLOEXEC);
    AUTO_CLOSE int master = -1;
    AUTO_CLOSE int slave = -1;
    char link[32];
    struct stat status;
    struct statfs where;
    int unlock = 0;

    /* Looked at before it is opened: what else could lie here might block, or do something. */
    if (path_fd < 0)
        return path_fd;
    if (fstat(path_fd, &status) < 0 || fstatfs(path_fd, &where) < 0)
        return -errno;
    if (!S_ISCHR(status.st_mode) || status.st_rdev != makedev(5, 2) ||
        where.f_type != DEVPTS_SUPER_MAGIC)
        return -ENOTTY;
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", path_fd);
    master = open(link, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) < 0)
        return -errno;
    slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return -errno;
    *ret_master = take_fd(&master);
    *ret_slave = take_fd(&slave);
    return 0;
}
