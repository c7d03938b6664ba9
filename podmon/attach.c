/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/attach.h"

#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "podmon/relabel.h"
#include "shared/cleanup.h"

#define CLONE_FLAGS (OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH)

static int move_to(int fd, int target_fd)
{
    return move_mount(fd, "", target_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0
               ? -errno
               : 0;
}

/* A mount whose content depends on the namespaces of whoever makes it. */
static int make_here(const MountStep *step)
{
    AUTO_CLOSE int fs_fd = fsopen(step->type, FSOPEN_CLOEXEC);
    int fd;

    if (fs_fd < 0 || fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -errno;
    fd = fsmount(fs_fd, FSMOUNT_CLOEXEC, step->attributes);
    return fd < 0 ? -errno : fd;
}

/* Every container's queue is the ipc namespace's one file system: it takes no option, its root
 * takes a label. */
static int make_labelled(const MountPlan *plan, const MountStep *step)
{
    AUTO_CLOSE int fd = make_here(step);
    int r = fd;

    if (r >= 0 && strcmp(step->type, "mqueue") == 0)
        r = relabel_file(fd, plan->file_label);
    return r < 0 ? r : take_fd(&fd);
}

static int open_target(int root_fd, const MountStep *step, PathKind kind)
{
    int fd, r;

    if (!step->is_exact)
        return path_make_in_root(root_fd, step->target, kind, 0755);
    fd = path_open_beneath(root_fd, step->target + 1, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd != -ENOENT)
        return fd;
    r = path_make_in_root(root_fd, step->target, kind, 0755);
    if (r < 0)
        return r;
    (void)close(r);
    return path_open_beneath(root_fd, step->target + 1, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
}

/* Part of a mount can only be taken when the whole is attached somewhere: for a moment it lies over
 * the root, where nobody looks. */
static int take_part(const MountPlan *plan, const MountStep *step, PathKind *ret_kind)
{
    AUTO_CLOSE int part_fd = -1;
    struct stat status;
    int fd, r = 0;

    if (move_mount(step->fd, "", AT_FDCWD, plan->place, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return -errno;
    part_fd = path_open_in_root(step->fd, step->sub_path, O_PATH | O_CLOEXEC);
    if (part_fd < 0)
        r = part_fd;
    else if (fstat(part_fd, &status) < 0)
        r = -errno;
    fd = r < 0 ? r : open_tree(part_fd, "", CLONE_FLAGS);
    if (fd == -1)
        fd = -errno;
    if (fchdir(step->fd) < 0 || umount2(".", MNT_DETACH) < 0)
        r = -errno;
    if (r < 0 || fd < 0) {
        if (fd >= 0)
            (void)close(fd);
        return r < 0 ? r : fd;
    }
    *ret_kind = S_ISDIR(status.st_mode) ? PATH_DIRECTORY : PATH_FILE;
    return fd;
}

/* /dev is still as devices_populate made it: the console is bound before any mount of the user's.
 */
static int attach_console(int root_fd, int tty_fd)
{
    AUTO_CLOSE int target_fd =
        path_open_beneath(root_fd, "dev/console", O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
    AUTO_CLOSE int fd = -1;
    struct stat status;

    if (target_fd < 0)
        return target_fd;
    if (fstat(tty_fd, &status) < 0)
        return -errno;
    if (!S_ISCHR(status.st_mode) || major(status.st_rdev) != 136)
        return -ENOTTY;
    fd = open_tree(tty_fd, "", CLONE_FLAGS);
    return fd < 0 ? -errno : move_to(fd, target_fd);
}

static int attach_step(const MountPlan *plan, const MountStep *step, int root_fd)
{
    AUTO_CLOSE int made_fd = -1;
    AUTO_CLOSE int target_fd = -1;
    PathKind kind = step->target_kind;
    int r;

    if (step->type || step->sub_path) {
        made_fd = step->type ? make_labelled(plan, step) : take_part(plan, step, &kind);
        if (made_fd < 0)
            return made_fd;
    }
    target_fd = open_target(root_fd, step, kind);
    if (target_fd < 0)
        return target_fd;
    r = move_to(made_fd >= 0 ? made_fd : step->fd, target_fd);
    if (r >= 0 && step->has_console)
        r = attach_console(root_fd, plan->tty_slave);
    return r;
}

static int make_directories(const MountPlan *plan, int root_fd, const char **ret_where)
{
    for (char *const *directory = plan->directories; directory && *directory; directory++) {
        int fd = path_make_in_root(root_fd, *directory, PATH_DIRECTORY, 0755);

        *ret_where = *directory;
        if (fd < 0)
            return fd;
        (void)close(fd);
    }
    return 0;
}

static int make_read_only(int root_fd, const char *path)
{
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
    AUTO_CLOSE int target_fd = path_open_in_root(root_fd, path, O_PATH | O_CLOEXEC);
    AUTO_CLOSE int fd = -1;

    if (target_fd == -ENOENT || target_fd == -ENOTDIR)
        return 0;
    if (target_fd < 0)
        return target_fd;
    fd = open_tree(target_fd, "", CLONE_FLAGS | AT_RECURSIVE);
    if (fd < 0 ||
        mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof(attributes)) < 0)
        return -errno;
    return move_to(fd, target_fd);
}

/* The cover that a masked path gets. A detached mount can be attached once; further ones are copies
 * of it, which the kernel only makes of what is attached. */
typedef struct Cover {
    int fd;
    bool is_attached;
} Cover;

static int cover_path(Cover *cover, int target_fd)
{
    AUTO_CLOSE int copy_fd = -1;

    if (!cover->is_attached) {
        cover->is_attached = true;
        return move_to(cover->fd, target_fd);
    }
    copy_fd = open_tree(cover->fd, "", CLONE_FLAGS);
    return copy_fd < 0 ? -errno : move_to(copy_fd, target_fd);
}

static int mask_path(int root_fd, const char *path, Cover *file_cover, Cover *directory_cover)
{
    AUTO_CLOSE int target_fd = path_open_in_root(root_fd, path, O_PATH | O_CLOEXEC);
    AUTO_CLOSE int check_fd = -1;
    struct stat before, cover, after;
    Cover *chosen;
    int r;

    if (target_fd == -ENOENT || target_fd == -ENOTDIR)
        return 0;
    if (target_fd < 0)
        return target_fd;
    if (fstat(target_fd, &before) < 0)
        return -errno;
    chosen = S_ISDIR(before.st_mode) ? directory_cover : file_cover;
    if (fstat(chosen->fd, &cover) < 0)
        return -errno;
    r = cover_path(chosen, target_fd);
    if (r < 0)
        return r;
    check_fd = path_open_in_root(root_fd, path, O_PATH | O_CLOEXEC);
    if (check_fd < 0)
        return check_fd;
    if (fstat(check_fd, &after) < 0)
        return -errno;
    return after.st_dev == cover.st_dev && after.st_ino == cover.st_ino ? 0 : -EXDEV;
}

static int protect(const MountPlan *plan, int root_fd, const char **ret_where)
{
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
    Cover file_cover = {plan->null_fd, false}, directory_cover = {plan->empty_fd, false};
    int r;

    for (size_t i = 0; i < plan->read_only_count; i++) {
        *ret_where = plan->read_only_paths[i];
        r = make_read_only(root_fd, *ret_where);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < plan->masked_count; i++) {
        *ret_where = plan->masked_paths[i];
        r = mask_path(root_fd, *ret_where, &file_cover, &directory_cover);
        if (r < 0)
            return r;
    }
    *ret_where = "/";
    if (plan->read_only_root &&
        mount_setattr(root_fd, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0)
        return -errno;
    return 0;
}

/* pivot_root(2) stacks the old root over the new one when both names are ".", so that no directory
 * for it is needed in the image. */
static int pivot_to(int root_fd)
{
    if (fchdir(root_fd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
        umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return -errno;
    return 0;
}

/* What is mounted from here on must not reach the host. */
static int attach_root(int root_fd, const char *place)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        move_mount(root_fd, "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return -errno;
    return 0;
}

/* What is made in the container belongs to its root. Another user for files takes the capabilities
 * for them away; the work still is that of the host's root. */
static int own_as(uint32_t uid, uint32_t gid)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];

    if (uid == 0 && gid == 0)
        return 0;
    (void)syscall(SYS_setfsgid, gid);
    (void)syscall(SYS_setfsuid, uid);
    /* They answer with who it was before, and so whether it has become who it should be. */
    if (syscall(SYS_setfsgid, gid) != (long)gid || syscall(SYS_setfsuid, uid) != (long)uid)
        return -EPERM;
    if (syscall(SYS_capget, &header, data) < 0)
        return -errno;
    for (int half = 0; half < 2; half++)
        data[half].effective = data[half].permitted;
    return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static int relabel_volumes(const MountPlan *plan, const char **ret_where)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < plan->steps_count; i++) {
        *ret_where = plan->steps[i].target;
        if (plan->steps[i].relabel_fd >= 0)
            r = relabel_tree(plan->steps[i].relabel_fd, plan->file_label);
    }
    return r;
}

int attach_container(const MountPlan *plan, int root_fd, const char **ret_where)
{
    int r;

    r = relabel_volumes(plan, ret_where);
    if (r < 0)
        return r;
    *ret_where = "/";
    r = attach_root(root_fd, plan->place);
    if (r >= 0)
        r = own_as(plan->owner_uid, plan->owner_gid);
    for (size_t i = 0; r >= 0 && i < plan->steps_count; i++) {
        *ret_where = plan->steps[i].target;
        r = attach_step(plan, &plan->steps[i], root_fd);
    }
    if (r >= 0)
        r = make_directories(plan, root_fd, ret_where);
    if (r >= 0)
        r = protect(plan, root_fd, ret_where);
    return r < 0 ? r : pivot_to(root_fd);
}

int attach_enter(const char *path)
{
    AUTO_CLOSE int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    AUTO_CLOSE int fd = -1;
    char where[PATH_MAX];
    long length;

    if (root_fd < 0)
        return -errno;
    fd = path_open_in_root(root_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fd;
    if (fchdir(fd) < 0)
        return -errno;
    /* The system call, because the function of that name allocates. */
    length = syscall(SYS_getcwd, where, sizeof(where));
    if (length < 0)
        return -errno;
    return where[0] == '/' ? 0 : -ENOENT;
}

int attach_nothing(const char *place, const char *label)
{
    AUTO_CLOSE int fs_fd = fsopen("tmpfs", FSOPEN_CLOEXEC);
    AUTO_CLOSE int fd = -1;
    int r;

    if (fs_fd < 0 || fsconfig(fs_fd, FSCONFIG_SET_STRING, "nr_inodes", "1", 0) < 0 ||
        (*label && fsconfig(fs_fd, FSCONFIG_SET_STRING, "context", label, 0) < 0) ||
        fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -errno;
    fd = fsmount(fs_fd, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC);
    if (fd < 0)
        return -errno;
    r = attach_root(fd, place);
    return r < 0 ? r : pivot_to(fd);
}
