/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shared/cleanup.h"

#if defined(__SANITIZE_ADDRESS__)
#define CONFINE_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CONFINE_SANITIZED true
#endif
#endif
#ifndef CONFINE_SANITIZED
#define CONFINE_SANITIZED false
#endif

enum {
    MEMORY_MAX = 512 * 1024 * 1024, /* a zstd window is at most 128 MiB */
    FILES_MAX = 256,
    ROOT_FD = 5,
};

static const uint64_t kept_capabilities =
    UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_DAC_OVERRIDE | UINT64_C(1) << CAP_FOWNER |
    UINT64_C(1) << CAP_FSETID | UINT64_C(1) << CAP_MKNOD | UINT64_C(1) << CAP_SETFCAP;

/* What an unpacker has no use for and an attacker has. */
static const int denied_calls[] = {
    SCMP_SYS(acct),
    SCMP_SYS(add_key),
    SCMP_SYS(bpf),
    SCMP_SYS(chroot),
    SCMP_SYS(clone),
    SCMP_SYS(clone3),
    SCMP_SYS(connect),
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(fsmount),
    SCMP_SYS(fsopen),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(ioctl),
    SCMP_SYS(kexec_load),
    SCMP_SYS(keyctl),
    SCMP_SYS(kill),
    SCMP_SYS(mount),
    SCMP_SYS(mount_setattr),
    SCMP_SYS(move_mount),
    SCMP_SYS(name_to_handle_at),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(open_tree),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(pivot_root),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(ptrace),
    SCMP_SYS(request_key),
    SCMP_SYS(setns),
    SCMP_SYS(socket),
    SCMP_SYS(tgkill),
    SCMP_SYS(tkill),
    SCMP_SYS(umount2),
    SCMP_SYS(unshare),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(vfork),
};

/* Makes the directory the root of a mount namespace in which there is nothing else, and
 * dir_fd a descriptor of that. */
static int enter_root(int dir_fd)
{
    struct mount_attr attributes = {.attr_set =
                                        MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC};
    AUTO_CLOSE int tree_fd = -1, root_fd = -1;

    /* Cloned in the old namespace, where the descriptor belongs to; attached in the new one. */
    tree_fd = open_tree(dir_fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    if (tree_fd < 0 ||
        mount_setattr(tree_fd, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0 ||
        unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        move_mount(tree_fd, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
        fchdir(tree_fd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
        umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return -errno;
    /* The old descriptor leads to the same directory on a mount that is writable, set-id … */
    root_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0 || dup3(root_fd, dir_fd, O_CLOEXEC) < 0)
        return -errno;
    return dir_fd;
}

static int drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};

    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        if (!(kept_capabilities >> capability & 1) &&
            prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
            return -errno;
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (int i = 0; i < 2; i++)
        data[i].effective = data[i].permitted = (uint32_t)(kept_capabilities >> (32 * i));
    if (syscall(SYS_capset, &header, data) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    return 0;
}

static int filter_calls(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int r = filter ? 0 : -ENOMEM;

    for (size_t i = 0; r == 0 && i < sizeof(denied_calls) / sizeof(denied_calls[0]); i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), denied_calls[i], 0);
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    return r;
}

static int set_limit(int resource, rlim_t value)
{
    struct rlimit limit = {.rlim_cur = value, .rlim_max = value};

    return setrlimit((__rlimit_resource_t)resource, &limit) < 0 ? -errno : 0;
}

static int set_limits(void)
{
    int r;

    /* The sanitizers reserve terabytes of address space. */
    if (!CONFINE_SANITIZED && (r = set_limit(RLIMIT_AS, MEMORY_MAX)) < 0)
        return r;
    r = set_limit(RLIMIT_CORE, 0);
    return r < 0 ? r : set_limit(RLIMIT_NOFILE, FILES_MAX);
}

/* 0 to 2 become /dev/null, the kept ones 3 and 4, the directory 5; nothing else stays open. */
static int keep_descriptors(const ConfinePlan *plan)
{
    int high[3] = {plan->keep_fds[0], plan->keep_fds[1], plan->root_fd};
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null_fd < 0)
        return -errno;
    for (int i = 0; i < 3; i++) {
        high[i] = fcntl(high[i], F_DUPFD_CLOEXEC, ROOT_FD + 1);
        if (high[i] < 0)
            return -errno;
    }
    for (int fd = 0; fd < 3; fd++)
        if (!(CONFINE_SANITIZED && fd == 2) && dup2(null_fd, fd) < 0)
            return -errno;
    for (int i = 0; i < 3; i++)
        if (dup3(high[i], 3 + i, O_CLOEXEC) < 0)
            return -errno;
    return close_range(ROOT_FD + 1, ~0U, 0) < 0 ? -errno : 0;
}

int confine_self(const ConfinePlan *plan, Failure *why)
{
    int r = keep_descriptors(plan), root_fd;

    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot close descriptors");
    (void)umask(0);
    root_fd = enter_root(ROOT_FD);
    if (root_fd < 0)
        return failure_set(why, FAILURE_INTERNAL, -root_fd,
                           "cannot make a layer's directory the root");
    r = set_limits();
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot set limits");
    r = drop_capabilities();
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot drop capabilities");
    r = filter_calls();
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot filter system calls");
    return root_fd;
}
