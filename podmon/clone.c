/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/clone.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/fd.h"

static pid_t clone_child(const StagePlan *stage, uint64_t flags, int *ret_pidfd)
{
    struct clone_args arguments = {
        .flags = flags | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
        .pidfd = (uint64_t)(uintptr_t)ret_pidfd,
        .exit_signal = SIGCHLD,
    };

    if (stage->cgroup && stage->cgroup->into_fd >= 0) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = (unsigned int)stage->cgroup->into_fd;
    }
    return (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
}

/* In the helper, which only podmon's pid namespace has: what the process must not have when its
 * namespace sees it is gone before it is cloned. Its pid, or −errno, goes to `answer_fd`; the
 * process is podmon's child like the helper. */
static _Noreturn void help(const StagePlan *stage, uint64_t flags, int pidns_fd, int answer_fd,
                           int report_fd)
{
    struct clone_args arguments = {.flags = flags | CLONE_PARENT};
    const CgroupEntry *cgroup = stage->cgroup;
    int32_t pid = -1;

    stage_prepare(stage, report_fd);
    for (int i = 0; cgroup && i < cgroup->join_count; i++)
        (void)close(cgroup->join_fds[i]);
    if (setns(pidns_fd, CLONE_NEWPID) >= 0)
        pid = (int32_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* Not inherited; it cannot fail. */
        stage_run(stage, report_fd);
    }
    if (pid < 0)
        pid = -errno;
    (void)!write(answer_fd, &pid, sizeof(pid));
    _exit(0);
}

/* A container may look into every process of its pid namespace (CAP_SYS_PTRACE), from its first
 * moment on: before it has closed podmon's descriptors. One that a helper has cloned never had
 * them, not even that of its cgroup: the helper is born there. */
static pid_t clone_in_namespace(const StagePlan *stage, uint64_t flags, int pidns_fd,
                                const int answer[2], int report_fd, int *ret_pidfd)
{
    AUTO_CLOSE int helper_pidfd = -1;
    siginfo_t state;
    int32_t pid = 0;
    pid_t helper = clone_child(stage, 0, &helper_pidfd);

    if (helper == 0)
        help(stage, flags, pidns_fd, answer[1], report_fd);
    if (helper < 0)
        return -errno;
    /* The helper closes its end when it ends; only the process itself may hold one longer. */
    if (waitid(P_PIDFD, (id_t)helper_pidfd, &state, WEXITED) < 0 ||
        read(answer[0], &pid, sizeof(pid)) != (ssize_t)sizeof(pid))
        return -ECHILD;
    if (pid < 0)
        return pid;
    *ret_pidfd = fd_open_pid(pid);
    return *ret_pidfd < 0 ? *ret_pidfd : pid;
}

pid_t clone_stage(const StagePlan *stage, uint64_t flags, int pidns_fd, const int answer[2],
                  int report_fd, int *ret_pidfd)
{
    pid_t pid;

    if (pidns_fd >= 0)
        return clone_in_namespace(stage, flags, pidns_fd, answer, report_fd, ret_pidfd);
    pid = clone_child(stage, flags, ret_pidfd);
    if (pid == 0) {
        stage_prepare(stage, report_fd);
        stage_run(stage, report_fd);
    }
    return pid < 0 ? -errno : pid;
}
