/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/seccomp_default.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/socket.h>

#include "podmon/seccomp_program.h"
#include "shared/cleanup.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What every container may call: it concerns the caller's own process and files, or the kernel
 * checks it by the container's namespaces and capabilities, and enough programs use it that its
 * code is well trodden. */
static const char *const allowed[] = {
    "accept",
    "accept4",
    "access",
    "adjtimex",
    "alarm",
    "arch_prctl",
    "arm_fadvise64_64",
    "arm_sync_file_range",
    "bind",
    "breakpoint",
    "brk",
    "cacheflush",
    "cachestat",
    "capget",
    "capset",
    "chdir",
    "chmod",
    "chown",
    "chown32",
    "clock_adjtime",
    "clock_adjtime64",
    "clock_getres",
    "clock_getres_time64",
    "clock_gettime",
    "clock_gettime64",
    "clock_nanosleep",
    "clock_nanosleep_time64",
    "clone",
    "close",
    "close_range",
    "connect",
    "copy_file_range",
    "creat",
    "dup",
    "dup2",
    "dup3",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_ctl_old",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "epoll_wait_old",
    "eventfd",
    "eventfd2",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "faccessat",
    "faccessat2",
    "fadvise64",
    "fadvise64_64",
    "fallocate",
    "fanotify_mark",
    "fchdir",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "fchown",
    "fchown32",
    "fchownat",
    "fcntl",
    "fcntl64",
    "fdatasync",
    "fgetxattr",
    "flistxattr",
    "flock",
    "fork",
    "fremovexattr",
    "fsetxattr",
    "fstat",
    "fstat64",
    "fstatat64",
    "fstatfs",
    "fstatfs64",
    "fsync",
    "ftruncate",
    "ftruncate64",
    "futex",
    "futex_requeue",
    "futex_time64",
    "futex_wait",
    "futex_waitv",
    "futex_wake",
    "futimesat",
    "get_robust_list",
    "get_thread_area",
    "getcpu",
    "getcwd",
    "getdents",
    "getdents64",
    "getegid",
    "getegid32",
    "geteuid",
    "geteuid32",
    "getgid",
    "getgid32",
    "getgroups",
    "getgroups32",
    "getitimer",
    "getpeername",
    "getpgid",
    "getpgrp",
    "getpid",
    "getppid",
    "getpriority",
    "getrandom",
    "getresgid",
    "getresgid32",
    "getresuid",
    "getresuid32",
    "getrlimit",
    "getrusage",
    "getsid",
    "getsockname",
    "getsockopt",
    "gettid",
    "gettimeofday",
    "getuid",
    "getuid32",
    "getxattr",
    "getxattrat",
    "inotify_add_watch",
    "inotify_init",
    "inotify_init1",
    "inotify_rm_watch",
    "io_cancel",
    "io_destroy",
    "io_getevents",
    "io_pgetevents",
    "io_pgetevents_time64",
    "io_setup",
    "io_submit",
    "ioctl",
    "ioprio_get",
    "ioprio_set",
    "ipc",
    "kill",
    "landlock_add_rule",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "lchown",
    "lchown32",
    "lgetxattr",
    "link",
    "linkat",
    "listen",
    "listmount",
    "listxattr",
    "listxattrat",
    "llistxattr",
    "_llseek",
    "lremovexattr",
    "lseek",
    "lsetxattr",
    "lstat",
    "lstat64",
    "madvise",
    "map_shadow_stack",
    "membarrier",
    "memfd_create",
    "memfd_secret",
    "mincore",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "mlock",
    "mlock2",
    "mlockall",
    "mmap",
    "mmap2",
    "modify_ldt",
    "mprotect",
    "mq_getsetattr",
    "mq_notify",
    "mq_open",
    "mq_timedreceive",
    "mq_timedreceive_time64",
    "mq_timedsend",
    "mq_timedsend_time64",
    "mq_unlink",
    "mremap",
    "mseal",
    "msgctl",
    "msgget",
    "msgrcv",
    "msgsnd",
    "msync",
    "munlock",
    "munlockall",
    "munmap",
    "name_to_handle_at",
    "nanosleep",
    "newfstatat",
    "_newselect",
    "open",
    "openat",
    "openat2",
    "pause",
    "pidfd_open",
    "pidfd_send_signal",
    "pipe",
    "pipe2",
    "pkey_alloc",
    "pkey_free",
    "pkey_mprotect",
    "poll",
    "ppoll",
    "ppoll_time64",
    "prctl",
    "pread64",
    "preadv",
    "preadv2",
    "prlimit64",
    "process_mrelease",
    "process_vm_readv",
    "process_vm_writev",
    "pselect6",
    "pselect6_time64",
    "ptrace",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "read",
    "readahead",
    "readlink",
    "readlinkat",
    "readv",
    "recv",
    "recvfrom",
    "recvmmsg",
    "recvmmsg_time64",
    "recvmsg",
    "remap_file_pages",
    "removexattr",
    "removexattrat",
    "rename",
    "renameat",
    "renameat2",
    "restart_syscall",
    "riscv_flush_icache",
    "riscv_hwprobe",
    "rmdir",
    "rseq",
    "rt_sigaction",
    "rt_sigpending",
    "rt_sigprocmask",
    "rt_sigqueueinfo",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_sigtimedwait_time64",
    "rt_tgsigqueueinfo",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_getaffinity",
    "sched_getattr",
    "sched_getparam",
    "sched_getscheduler",
    "sched_rr_get_interval",
    "sched_rr_get_interval_time64",
    "sched_setaffinity",
    "sched_setattr",
    "sched_setparam",
    "sched_setscheduler",
    "sched_yield",
    "seccomp",
    "select",
    "semctl",
    "semget",
    "semop",
    "semtimedop",
    "semtimedop_time64",
    "send",
    "sendfile",
    "sendfile64",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "set_robust_list",
    "set_thread_area",
    "set_tid_address",
    "set_tls",
    "setfsgid",
    "setfsgid32",
    "setfsuid",
    "setfsuid32",
    "setgid",
    "setgid32",
    "setgroups",
    "setgroups32",
    "setitimer",
    "setpgid",
    "setpriority",
    "setregid",
    "setregid32",
    "setresgid",
    "setresgid32",
    "setresuid",
    "setresuid32",
    "setreuid",
    "setreuid32",
    "setrlimit",
    "setsid",
    "setsockopt",
    "setuid",
    "setuid32",
    "setxattr",
    "setxattrat",
    "shmat",
    "shmctl",
    "shmdt",
    "shmget",
    "shutdown",
    "sigaction",
    "sigaltstack",
    "signal",
    "signalfd",
    "signalfd4",
    "sigpending",
    "sigprocmask",
    "sigreturn",
    "sigsuspend",
    "socket",
    "socketcall",
    "socketpair",
    "splice",
    "stat",
    "stat64",
    "statfs",
    "statfs64",
    "statmount",
    "statx",
    "symlink",
    "symlinkat",
    "sync",
    "sync_file_range",
    "sync_file_range2",
    "syncfs",
    "sysinfo",
    "tee",
    "tgkill",
    "time",
    "timer_create",
    "timer_delete",
    "timer_getoverrun",
    "timer_gettime",
    "timer_gettime64",
    "timer_settime",
    "timer_settime64",
    "timerfd_create",
    "timerfd_gettime",
    "timerfd_gettime64",
    "timerfd_settime",
    "timerfd_settime64",
    "times",
    "tkill",
    "truncate",
    "truncate64",
    "ugetrlimit",
    "umask",
    "uname",
    "unlink",
    "unlinkat",
    "uretprobe",
    "utime",
    "utimensat",
    "utimensat_time64",
    "utimes",
    "vfork",
    "vmsplice",
    "wait4",
    "waitid",
    "waitpid",
    "write",
    "writev",
};

enum { NOBODY = -1 };

/* What is refused to who lacks the capability, and mostly would be by the kernel too, a few
 * thousand lines further in. Whatever is in neither list does not exist for a container: a call
 * that is younger than these lists is answered by ENOSYS, for which C libraries have a way round.
 */
static const struct {
    const char *name;
    int capabilities[2]; /* any of them allows it */
} guarded[] = {
    /* Keys are not namespaced: another pod's could be read by number. */
    {"add_key", {NOBODY, NOBODY}},
    {"keyctl", {NOBODY, NOBODY}},
    {"request_key", {NOBODY, NOBODY}},
    /* Large, young, and the way into many published exploits. */
    {"io_uring_enter", {NOBODY, NOBODY}},
    {"io_uring_register", {NOBODY, NOBODY}},
    {"io_uring_setup", {NOBODY, NOBODY}},
    {"userfaultfd", {NOBODY, NOBODY}},
    {"bpf", {CAP_SYS_ADMIN, CAP_BPF}},
    {"perf_event_open", {CAP_SYS_ADMIN, CAP_PERFMON}},
    /* Another kernel, another clock, another machine. */
    {"kexec_file_load", {NOBODY, NOBODY}},
    {"kexec_load", {NOBODY, NOBODY}},
    {"init_module", {CAP_SYS_MODULE, NOBODY}},
    {"finit_module", {CAP_SYS_MODULE, NOBODY}},
    {"delete_module", {CAP_SYS_MODULE, NOBODY}},
    {"reboot", {CAP_SYS_BOOT, NOBODY}},
    {"swapon", {NOBODY, NOBODY}},
    {"swapoff", {NOBODY, NOBODY}},
    {"acct", {CAP_SYS_PACCT, NOBODY}},
    {"syslog", {CAP_SYSLOG, CAP_SYS_ADMIN}},
    {"clock_settime", {CAP_SYS_TIME, NOBODY}},
    {"clock_settime64", {CAP_SYS_TIME, NOBODY}},
    {"settimeofday", {CAP_SYS_TIME, NOBODY}},
    {"stime", {CAP_SYS_TIME, NOBODY}},
    {"iopl", {CAP_SYS_RAWIO, NOBODY}},
    {"ioperm", {CAP_SYS_RAWIO, NOBODY}},
    {"vhangup", {CAP_SYS_TTY_CONFIG, NOBODY}},
    /* Where files come from, and which namespaces one is in. */
    {"chroot", {CAP_SYS_CHROOT, NOBODY}},
    {"fanotify_init", {CAP_SYS_ADMIN, NOBODY}},
    {"fsconfig", {CAP_SYS_ADMIN, NOBODY}},
    {"fsmount", {CAP_SYS_ADMIN, NOBODY}},
    {"fsopen", {CAP_SYS_ADMIN, NOBODY}},
    {"fspick", {CAP_SYS_ADMIN, NOBODY}},
    {"mount", {CAP_SYS_ADMIN, NOBODY}},
    {"mount_setattr", {CAP_SYS_ADMIN, NOBODY}},
    {"move_mount", {CAP_SYS_ADMIN, NOBODY}},
    {"open_tree", {CAP_SYS_ADMIN, NOBODY}},
    {"pivot_root", {NOBODY, NOBODY}},
    {"quotactl", {CAP_SYS_ADMIN, NOBODY}},
    {"quotactl_fd", {CAP_SYS_ADMIN, NOBODY}},
    {"setdomainname", {CAP_SYS_ADMIN, NOBODY}},
    {"sethostname", {CAP_SYS_ADMIN, NOBODY}},
    {"setns", {CAP_SYS_ADMIN, NOBODY}},
    {"umount", {CAP_SYS_ADMIN, NOBODY}},
    {"umount2", {CAP_SYS_ADMIN, NOBODY}},
    {"unshare", {CAP_SYS_ADMIN, NOBODY}},
    /* Opens by number what no name in the container leads to. */
    {"open_by_handle_at", {CAP_DAC_READ_SEARCH, NOBODY}},
    /* Other processes, beyond what ptrace(2) checks. */
    {"kcmp", {CAP_SYS_PTRACE, NOBODY}},
    {"pidfd_getfd", {CAP_SYS_PTRACE, NOBODY}},
    {"process_madvise", {CAP_SYS_PTRACE, NOBODY}},
    /* Memory of the whole machine's nodes; its bugs have told kernel memory. */
    {"get_mempolicy", {CAP_SYS_NICE, NOBODY}},
    {"mbind", {CAP_SYS_NICE, NOBODY}},
    {"migrate_pages", {CAP_SYS_NICE, NOBODY}},
    {"move_pages", {CAP_SYS_NICE, NOBODY}},
    {"set_mempolicy", {CAP_SYS_NICE, NOBODY}},
    {"set_mempolicy_home_node", {CAP_SYS_NICE, NOBODY}},
    /* Nobody's any more. */
    {"_sysctl", {NOBODY, NOBODY}},
    {"lookup_dcookie", {CAP_SYS_ADMIN, NOBODY}},
    {"nfsservctl", {NOBODY, NOBODY}},
    {"sysfs", {NOBODY, NOBODY}},
    {"uselib", {NOBODY, NOBODY}},
    {"ustat", {NOBODY, NOBODY}},
    {"vm86", {NOBODY, NOBODY}},
    {"vm86old", {NOBODY, NOBODY}},
};

static bool has(uint64_t capabilities, int capability)
{
    return capability != NOBODY && (capabilities >> capability & 1);
}

#define ALLOW SECCOMP_RET_ALLOW
#define REFUSE (SECCOMP_RET_ERRNO | EPERM)
#define UNKNOWN (SECCOMP_RET_ERRNO | ENOSYS)

enum {
    NAMESPACES = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                 CLONE_NEWPID | CLONE_NEWNET
};

#define EVERY_BIT UINT32_C(0xffffffff)

/* Calls that an argument decides. */
static const struct {
    const char *name;
    int capability; /* who has it may as the other list says */
    SeccompCheck check;
} checked[] = {
    /* A byte pushed into a terminal is read by whoever is behind it. */
    {"ioctl",
     NOBODY,
     {1, 2, {{EVERY_BIT, TIOCSTI, REFUSE}, {EVERY_BIT, TIOCLINUX, REFUSE}}, ALLOW}},
    /* Between virtual machines; no namespace divides it. */
    {"socket", NOBODY, {0, 1, {{EVERY_BIT, AF_VSOCK, REFUSE}}, ALLOW}},
    {"clone", CAP_SYS_ADMIN, {0, 1, {{NAMESPACES, 0, ALLOW}}, REFUSE}},
    /* Which kernel it looks like, and no flags that weaken a program's memory (READ_IMPLIES_EXEC,
     * ADDR_NO_RANDOMIZE): they outlive an execve. */
    {"personality",
     NOBODY,
     {0,
      5,
      {{EVERY_BIT, PER_LINUX, ALLOW},
       {EVERY_BIT, PER_LINUX32, ALLOW},
       {EVERY_BIT, UNAME26, ALLOW},
       {EVERY_BIT, PER_LINUX32 | UNAME26, ALLOW},
       {EVERY_BIT, EVERY_BIT, ALLOW}},
      REFUSE}},
};

/* The kinds of calls that a process of this machine can make: a program of the other word size
 * sees the same list, not a way round it. */
static const struct {
    uint32_t audit;
    uint32_t libraries[2]; /* SCMP_ARCH_…; 0: none */
} kinds[] = {
#if defined(__x86_64__)
    {AUDIT_ARCH_X86_64, {SCMP_ARCH_X86_64, SCMP_ARCH_X32}},
    {AUDIT_ARCH_I386, {SCMP_ARCH_X86, 0}},
#elif defined(__aarch64__)
    {AUDIT_ARCH_AARCH64, {SCMP_ARCH_AARCH64, 0}},
    {AUDIT_ARCH_ARM, {SCMP_ARCH_ARM, 0}},
#endif
};

enum { VERDICTS_MAX = 2 * (COUNT(checked) + COUNT(allowed) + COUNT(guarded) + 1) + 32 };

typedef struct Table {
    SeccompVerdict verdicts[VERDICTS_MAX];
    size_t count;
} Table;

static void add_number(Table *table, int number, uint32_t result, const SeccompCheck *check)
{
    if (number >= 0 && table->count < VERDICTS_MAX)
        table->verdicts[table->count++] = (SeccompVerdict){(uint32_t)number, result, check};
}

static void add_name(Table *table, uint32_t architecture, const char *name, uint32_t result,
                     const SeccompCheck *check)
{
    add_number(table, seccomp_syscall_resolve_name_arch(architecture, name), result, check);
}

/* The library gives these calls numbers of its own, because i386 has two ways to each: by
 * socketcall(2) and ipc(2), and directly. */
static void add_direct_calls(Table *table, const SeccompCheck *check_socket)
{
    enum { SOCKET = 359, SHUTDOWN = 373, SEMGET = 393, MSGCTL = 402 };

    add_number(table, SOCKET, ALLOW, check_socket);
    for (int number = SOCKET + 1; number <= SHUTDOWN; number++)
        add_number(table, number, ALLOW, NULL);
    for (int number = SEMGET; number <= MSGCTL; number++)
        add_number(table, number, ALLOW, NULL);
}

static void fill_table(uint32_t architecture, uint64_t capabilities, Table *table)
{
    for (size_t i = 0; i < COUNT(checked); i++) {
        if (has(capabilities, checked[i].capability))
            continue;
        add_name(table, architecture, checked[i].name, 0, &checked[i].check);
        if (architecture == SCMP_ARCH_X86 && strcmp(checked[i].name, "socket") == 0)
            add_direct_calls(table, &checked[i].check);
    }
    for (size_t i = 0; i < COUNT(allowed); i++)
        add_name(table, architecture, allowed[i], ALLOW, NULL);
    for (size_t i = 0; i < COUNT(guarded); i++) {
        const int *any = guarded[i].capabilities;

        add_name(table, architecture, guarded[i].name,
                 has(capabilities, any[0]) || has(capabilities, any[1]) ? ALLOW : REFUSE, NULL);
    }
    /* Its flags lie in memory, which a filter cannot see; C libraries fall back to clone(2). */
    if (has(capabilities, CAP_SYS_ADMIN))
        add_name(table, architecture, "clone3", ALLOW, NULL);
}

int seccomp_default(uint64_t capabilities, struct sock_filter **ret, size_t *ret_count)
{
    AUTO_FREE Table *contents = calloc(COUNT(kinds), sizeof(*contents));
    SeccompTable tables[COUNT(kinds)];

    if (!contents)
        return -ENOMEM;
    for (size_t i = 0; i < COUNT(kinds); i++) {
        for (size_t j = 0; j < 2 && kinds[i].libraries[j]; j++)
            fill_table(kinds[i].libraries[j], capabilities, &contents[i]);
        tables[i] = (SeccompTable){kinds[i].audit, contents[i].verdicts, contents[i].count};
    }
    return seccomp_program(tables, COUNT(kinds), UNKNOWN, ret, ret_count);
}
