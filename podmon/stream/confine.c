/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/stream/confine.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "the audit architecture of this machine is to be named here"
#endif

#define ALLOW(call)                                                                                \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (call), 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* Those of every byte come first. */
static const struct sock_filter FILTER[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    ALLOW(SYS_read),
    ALLOW(SYS_write),
    ALLOW(SYS_sendmsg),
    ALLOW(SYS_sendto),
    ALLOW(SYS_recvfrom),
    ALLOW(SYS_recvmsg),
    ALLOW(SYS_splice),
#ifdef SYS_epoll_wait
    ALLOW(SYS_epoll_wait),
#endif
    ALLOW(SYS_epoll_pwait),
    ALLOW(SYS_epoll_ctl),
    ALLOW(SYS_timerfd_settime),
    ALLOW(SYS_clock_gettime),
    ALLOW(SYS_ioctl), /* a terminal's size */
    ALLOW(SYS_close),
    ALLOW(SYS_shutdown),
    ALLOW(SYS_fcntl),
    ALLOW(SYS_fstat), /* of what podmon sends */
#ifdef SYS_newfstatat
    ALLOW(SYS_newfstatat),
#endif
    ALLOW(SYS_pipe2),
    ALLOW(SYS_socket), /* of targets */
    ALLOW(SYS_connect),
    ALLOW(SYS_setsockopt),
    ALLOW(SYS_getsockopt),
    ALLOW(SYS_epoll_create1), /* at the beginning */
    ALLOW(SYS_timerfd_create),
    ALLOW(SYS_eventfd2),
    ALLOW(SYS_brk), /* memory */
    ALLOW(SYS_mmap),
    ALLOW(SYS_munmap),
    ALLOW(SYS_mremap),
    ALLOW(SYS_madvise),
    ALLOW(SYS_getrandom),
    ALLOW(SYS_futex),
    ALLOW(SYS_exit_group), /* the end, and a crash that says so */
    ALLOW(SYS_rt_sigreturn),
    ALLOW(SYS_rt_sigprocmask),
    ALLOW(SYS_rt_sigaction),
    ALLOW(SYS_getpid),
    ALLOW(SYS_gettid),
    ALLOW(SYS_tgkill),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};

/* A sanitizer in the process calls what it likes. */
#if defined(__SANITIZE_ADDRESS__)
#define HAS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_SANITIZER 1
#endif
#endif
#ifndef HAS_SANITIZER
#define HAS_SANITIZER 0
#endif

int confine_stream(void)
{
    struct sock_fprog program = {
        .len = sizeof(FILTER) / sizeof(*FILTER),
        .filter = (struct sock_filter *)(uintptr_t)FILTER,
    };

    if (HAS_SANITIZER)
        return 0;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
}
