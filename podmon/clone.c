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

#include "shared/fd.h"

static pid_t clone_child(const StagePlan *stage, uint64_t flags, int *ret_pidfd)
{
    struct clone_args arguments = {.flags = flags | CLONE_CLEAR_SIGHAND};

    if (ret_pidfd) {
        arguments.flags |= CLONE_PIDFD;
        arguments.pidfd = (uint64_t)(uintptr_t)ret_pidfd;
    }
    if (!(flags & CLONE_PARENT))
        arguments.exit_signal = SIGCHLD;
    if (stage->cgroup && stage->cgroup->into_fd >= 0) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = (unsigned int)stage->cgroup->into_fd;
    }
    return (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
}

/* In the helper, which only podmon's pid namespace has: what the process must not have when its
 * namespace sees it is gone before it is cloned. The process is podmon's child like the helper. */
static pid_t help(const StagePlan *stage, uint64_t flags, int pidns_fd, int report_fd)
{
    const CgroupEntry *cgroup = stage->cgroup;
    pid_t pid;

    stage_prepare(stage, report_fd);
    for (int i = 0; cgroup && i < cgroup->join_count; i++)
        (void)close(cgroup->join_fds[i]);
    if (setns(pidns_fd, CLONE_NEWPID) < 0)
        return -errno;
    pid = clone_child(stage, flags | CLONE_PARENT, NULL);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* Not inherited; it cannot fail. */
        stage_run(stage, report_fd);
    }
    return pid < 0 ? -errno : pid;
}

/* A container may look into every process of its pid namespace (CAP_SYS_PTRACE), from its first
 * moment on: before it has closed podmon's descriptors. One that a helper has cloned never had
 * them.
 *
 * The helper costs little because it is no copy: vfork(2) lends it podmon's memory, and podmon goes
 * on when it has ended. It has descriptors and credentials of its own. What the analyzer forbids in
 * it is what Linux allows: a child that neither returns nor changes what podmon relies on. */
static pid_t clone_in_namespace(const StagePlan *stage, uint64_t flags, int pidns_fd, int report_fd,
                                int *ret_pidfd)
{
    volatile pid_t pid = -ECHILD;
    pid_t helper = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork) */

    if (helper == 0) {
        /* NOLINTNEXTLINE(clang-analyzer-unix.Vfork) */
        pid = help(stage, flags, pidns_fd, report_fd);
        _exit(0);
    }
    if (helper < 0 || TEMP_FAILURE_RETRY(waitpid(helper, NULL, 0)) < 0)
        return -errno;
    if (pid < 0)
        return pid;
    *ret_pidfd = fd_open_pid(pid);
    return *ret_pidfd < 0 ? *ret_pidfd : pid;
}

pid_t clone_stage(const StagePlan *stage, uint64_t flags, int pidns_fd, int report_fd,
                  int *ret_pidfd)
{
    pid_t pid;

    if (pidns_fd >= 0)
        return clone_in_namespace(stage, flags, pidns_fd, report_fd, ret_pidfd);
    pid = clone_child(stage, flags, ret_pidfd);
    if (pid == 0) {
        stage_prepare(stage, report_fd);
        stage_run(stage, report_fd);
    }
    return pid < 0 ? -errno : pid;
}
