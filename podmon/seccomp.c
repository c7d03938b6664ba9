/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/seccomp.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/fd.h"

enum { CAPABILITY_NONE = -1 };

typedef struct Refusal {
    const char *name;
    int capability; /* who has it may; CAPABILITY_NONE: nobody may */
    int error;
} Refusal;

static const Refusal refusals[] = {
    /* Keys are not namespaced: another pod's could be read by number. */
    {"add_key", CAPABILITY_NONE, EPERM},
    {"keyctl", CAPABILITY_NONE, EPERM},
    {"request_key", CAPABILITY_NONE, EPERM},
    /* Large, young, and the way into many published exploits. */
    {"io_uring_setup", CAPABILITY_NONE, EPERM},
    {"io_uring_enter", CAPABILITY_NONE, EPERM},
    {"io_uring_register", CAPABILITY_NONE, EPERM},
    {"userfaultfd", CAPABILITY_NONE, EPERM},
    {"bpf", CAP_SYS_ADMIN, EPERM},
    {"perf_event_open", CAP_SYS_ADMIN, EPERM},
    {"lookup_dcookie", CAP_SYS_ADMIN, EPERM},
    /* Another kernel, another clock, another machine. */
    {"kexec_load", CAPABILITY_NONE, EPERM},
    {"kexec_file_load", CAPABILITY_NONE, EPERM},
    {"init_module", CAP_SYS_MODULE, EPERM},
    {"finit_module", CAP_SYS_MODULE, EPERM},
    {"delete_module", CAP_SYS_MODULE, EPERM},
    {"create_module", CAPABILITY_NONE, EPERM},
    {"query_module", CAPABILITY_NONE, EPERM},
    {"get_kernel_syms", CAPABILITY_NONE, EPERM},
    {"reboot", CAP_SYS_BOOT, EPERM},
    {"swapon", CAP_SYS_ADMIN, EPERM},
    {"swapoff", CAP_SYS_ADMIN, EPERM},
    {"acct", CAP_SYS_PACCT, EPERM},
    {"syslog", CAP_SYSLOG, EPERM},
    {"quotactl", CAP_SYS_ADMIN, EPERM},
    {"quotactl_fd", CAP_SYS_ADMIN, EPERM},
    {"nfsservctl", CAPABILITY_NONE, EPERM},
    {"vm86", CAPABILITY_NONE, EPERM},
    {"vm86old", CAPABILITY_NONE, EPERM},
    {"uselib", CAPABILITY_NONE, EPERM},
    {"ustat", CAPABILITY_NONE, EPERM},
    {"sysfs", CAPABILITY_NONE, EPERM},
    {"_sysctl", CAPABILITY_NONE, EPERM},
    {"iopl", CAP_SYS_RAWIO, EPERM},
    {"ioperm", CAP_SYS_RAWIO, EPERM},
    {"settimeofday", CAP_SYS_TIME, EPERM},
    {"stime", CAP_SYS_TIME, EPERM},
    {"clock_settime", CAP_SYS_TIME, EPERM},
    {"clock_settime64", CAP_SYS_TIME, EPERM},
    {"vhangup", CAP_SYS_TTY_CONFIG, EPERM},
    /* Where files come from, and which namespace one is in. */
    {"mount", CAP_SYS_ADMIN, EPERM},
    {"umount", CAP_SYS_ADMIN, EPERM},
    {"umount2", CAP_SYS_ADMIN, EPERM},
    {"pivot_root", CAP_SYS_ADMIN, EPERM},
    {"fsopen", CAP_SYS_ADMIN, EPERM},
    {"fsconfig", CAP_SYS_ADMIN, EPERM},
    {"fsmount", CAP_SYS_ADMIN, EPERM},
    {"fspick", CAP_SYS_ADMIN, EPERM},
    {"open_tree", CAP_SYS_ADMIN, EPERM},
    {"move_mount", CAP_SYS_ADMIN, EPERM},
    {"mount_setattr", CAP_SYS_ADMIN, EPERM},
    {"setns", CAP_SYS_ADMIN, EPERM},
    {"unshare", CAP_SYS_ADMIN, EPERM},
    {"open_by_handle_at", CAP_DAC_READ_SEARCH, EPERM},
    /* Other processes' memory, beyond what ptrace(2) checks. */
    {"kcmp", CAP_SYS_PTRACE, EPERM},
    {"pidfd_getfd", CAP_SYS_PTRACE, EPERM},
    {"process_madvise", CAP_SYS_PTRACE, EPERM},
    {"move_pages", CAP_SYS_NICE, EPERM},
    /* Its flags lie in memory, which a filter cannot see; C libraries fall back to clone(2). */
    {"clone3", CAP_SYS_ADMIN, ENOSYS},
};

static bool has(uint64_t capabilities, int capability)
{
    return capability != CAPABILITY_NONE && (capabilities >> capability & 1);
}

/* A call that this architecture or library does not know needs no refusal. */
static int refuse_calls(scmp_filter_ctx context, uint64_t capabilities)
{
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        int number = seccomp_syscall_resolve_name(refusals[i].name);
        int r;

        if (number == __NR_SCMP_ERROR || has(capabilities, refusals[i].capability))
            continue;
        r = seccomp_rule_add(context, SCMP_ACT_ERRNO((uint32_t)refusals[i].error), number, 0);
        if (r < 0 && r != -EDOM)
            return r;
    }
    return 0;
}

static int refuse_new_namespaces(scmp_filter_ctx context)
{
    static const unsigned long flags[] = {CLONE_NEWNS,  CLONE_NEWCGROUP, CLONE_NEWUTS,
                                          CLONE_NEWIPC, CLONE_NEWUSER,   CLONE_NEWPID,
                                          CLONE_NEWNET};

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        int r = seccomp_rule_add(context, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                 SCMP_A0(SCMP_CMP_MASKED_EQ, flags[i], flags[i]));

        if (r < 0)
            return r;
    }
    return 0;
}

/* A byte pushed into a terminal is read by whoever is behind it. */
static int refuse_terminal_input(scmp_filter_ctx context)
{
    static const unsigned long requests[] = {TIOCSTI, TIOCLINUX};

    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        int r = seccomp_rule_add(context, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                                 SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffUL, requests[i]));

        if (r < 0)
            return r;
    }
    return 0;
}

/* The library only writes to a descriptor. */
static int export_filter(scmp_filter_ctx context, SeccompFilter *ret)
{
    AUTO_CLOSE int fd = memfd_create("seccomp", MFD_CLOEXEC);
    AUTO_FREE void *instructions = NULL;
    struct stat status;
    ssize_t size;
    int r;

    if (fd < 0)
        return -errno;
    r = seccomp_export_bpf(context, fd);
    if (r < 0)
        return r;
    if (fstat(fd, &status) < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return -errno;
    if (status.st_size <= 0 || status.st_size / (off_t)sizeof(struct sock_filter) > BPF_MAXINSNS)
        return -E2BIG;
    instructions = malloc((size_t)status.st_size);
    if (!instructions)
        return -ENOMEM;
    size = fd_read_all(fd, instructions, (size_t)status.st_size);
    if (size != status.st_size)
        return -EIO;
    ret->count = (uint16_t)((size_t)size / sizeof(struct sock_filter));
    ret->instructions = TAKE(instructions);
    return 0;
}

/* Programs of the other word size see the same refusals, not a way round them. */
static int add_architectures(scmp_filter_ctx context)
{
    static const uint32_t companions[] = {
#if defined(__x86_64__)
        SCMP_ARCH_X86,
        SCMP_ARCH_X32,
#elif defined(__aarch64__)
        SCMP_ARCH_ARM,
#endif
    };

    for (size_t i = 0; i < sizeof(companions) / sizeof(companions[0]); i++) {
        int r = seccomp_arch_add(context, companions[i]);

        if (r < 0 && r != -EEXIST)
            return r;
    }
    return 0;
}

static void context_release(scmp_filter_ctx *context)
{
    seccomp_release(*context);
}

static int compile_default(uint64_t capabilities, SeccompFilter *ret)
{
    CLEANUP(context_release) scmp_filter_ctx context = seccomp_init(SCMP_ACT_ALLOW);
    int r;

    if (!context)
        return -ENOMEM;
    /* A tree, because every system call of the container goes through it. */
    if ((r = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2)) < 0 ||
        (r = add_architectures(context)) < 0 || (r = refuse_calls(context, capabilities)) < 0 ||
        (r = refuse_terminal_input(context)) < 0)
        return r;
    if (!has(capabilities, CAP_SYS_ADMIN) && (r = refuse_new_namespaces(context)) < 0)
        return r;
    return export_filter(context, ret);
}

static int copy_filter(const SeccompFilter *filter, SeccompFilter *ret)
{
    size_t size = filter->count * sizeof(struct sock_filter);
    void *instructions = malloc(size);

    if (!instructions)
        return -ENOMEM;
    memcpy(instructions, filter->instructions, size);
    *ret = (SeccompFilter){instructions, filter->count};
    return 0;
}

/* Compiling takes half a millisecond, a quarter of what an exec may take, and the containers of a
 * pod mostly have the same capabilities: so the last filter is kept. */
static int get_default(uint64_t capabilities, SeccompFilter *ret)
{
    static SeccompFilter last;
    static uint64_t last_capabilities;

    if (!last.instructions || last_capabilities != capabilities) {
        SeccompFilter fresh;
        int r = compile_default(capabilities, &fresh);

        if (r < 0)
            return r;
        seccomp_done(&last);
        last = fresh;
        last_capabilities = capabilities;
    }
    return copy_filter(&last, ret);
}

int seccomp_prepare(const Podmon__SecurityPlan *security, uint64_t capabilities, SeccompFilter *ret,
                    Failure *why)
{
    int r;

    *ret = (SeccompFilter){0};
    if (!security || security->privileged ||
        security->seccomp == PODMON__PROFILE_KIND__PROFILE_UNCONFINED)
        return 0;
    if (security->seccomp == PODMON__PROFILE_KIND__PROFILE_LOCALHOST)
        return failure_say(why, FAILURE_UNIMPLEMENTED,
                           "seccomp profiles of the host (localhost) are not built yet");
    r = get_default(capabilities, ret);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot compile the default seccomp profile");
    return 0;
}

void seccomp_done(SeccompFilter *filter)
{
    free(filter->instructions);
    *filter = (SeccompFilter){0};
}

int seccomp_apply(const SeccompFilter *filter)
{
    struct sock_fprog program = {filter->count, filter->instructions};

    if (!filter->instructions)
        return 0;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? -errno : 0;
}
