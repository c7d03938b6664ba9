/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/fd.h"
#include "shared/file.h"
#include "shared/number.h"

enum {
    GROUPS_LIMIT = 64 * 1024,
    CHILDREN_LIMIT = 1024 * 1024,
    HELPER_END_MS = 1000,
};

/* <linux/pidfd.h> of Linux 6.15, which distributions do not have yet. */
typedef struct PidfdInfo {
    uint64_t mask;
    uint64_t cgroup_id;
    uint32_t pid, tgid, ppid;
    uint32_t ids[8];
    int32_t exit_code;
    uint32_t coredump_mask, spare;
} PidfdInfo;

#define PIDFD_GET_INFO_REQUEST _IOWR(0xFF, 11, PidfdInfo)
#define PIDFD_INFO_PID_BIT UINT64_C(1)
#define PIDFD_INFO_EXIT_BIT (UINT64_C(1) << 3)

static ProcessEnd end_of_status(int status)
{
    if (WIFSIGNALED(status))
        return (ProcessEnd){true, 128 + WTERMSIG(status), WTERMSIG(status) == SIGKILL};
    return (ProcessEnd){true, WEXITSTATUS(status), false};
}

int process_read_end(int pidfd, ProcessEnd *ret)
{
    PidfdInfo info = {.mask = PIDFD_INFO_PID_BIT | PIDFD_INFO_EXIT_BIT};
    siginfo_t child = {0};

    if (waitid(P_PIDFD, (id_t)pidfd, &child, WEXITED | WNOHANG) == 0) {
        if (child.si_pid == 0)
            return -EAGAIN;
        if (child.si_code == CLD_EXITED)
            *ret = (ProcessEnd){true, child.si_status, false};
        else
            *ret = (ProcessEnd){true, 128 + child.si_status, child.si_status == SIGKILL};
        return 0;
    }
    if (ioctl(pidfd, PIDFD_GET_INFO_REQUEST, &info) == 0) {
        if (!(info.mask & PIDFD_INFO_EXIT_BIT)) {
            /* Its parent has not reaped it, or the kernel cannot tell. */
            if (process_read_status((pid_t)info.pid, &info.exit_code) < 0)
                return -EAGAIN;
        }
        *ret = end_of_status(info.exit_code);
        return 0;
    }
    *ret = (ProcessEnd){0};
    return errno == ESRCH ? -EAGAIN : 0;
}

static int read_groups(pid_t pid, char **ret)
{
    char path[32];

    (void)snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
    return file_read_virtual_at(AT_FDCWD, path, GROUPS_LIMIT, ret, NULL);
}

/* A child of ours, which keeps its number until we reap it. */
static void end_child(pid_t pid)
{
    AUTO_CLOSE int pidfd = fd_open_pid(pid);
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};

    (void)killpg(pid, SIGKILL); /* It may lead none. */
    (void)kill(pid, SIGKILL);
    if (pidfd >= 0)
        (void)poll(&ended, 1, HELPER_END_MS); /* Else it is reaped with the orphans. */
    (void)waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOHANG);
}

int process_end_helpers(bool (*is_kept)(void *data, pid_t pid), void *data)
{
    AUTO_FREE char *ours = NULL;
    AUTO_FREE char *children = NULL;
    char path[64];
    char *rest, *word;
    int r = read_groups(getpid(), &ours);

    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    if (r >= 0)
        r = file_read_virtual_at(AT_FDCWD, path, CHILDREN_LIMIT, &children, NULL);
    if (r < 0)
        return r;
    rest = children;
    while ((word = strsep(&rest, " "))) {
        AUTO_FREE char *groups = NULL;
        uint64_t pid;
        if (number_parse_unsigned(word, INT32_MAX, &pid) < 0 || is_kept(data, (pid_t)pid) ||
            read_groups((pid_t)pid, &groups) < 0 || strcmp(groups, ours) != 0)
            continue;
        end_child((pid_t)pid);
    }
    return 0;
}

void process_reap_orphans(bool (*is_ours)(void *data, pid_t pid), void *data)
{
    for (;;) {
        siginfo_t child = {0};

        if (waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) < 0 || child.si_pid == 0)
            return;
        if (is_ours(data, child.si_pid))
            return;
        (void)waitid(P_PID, (id_t)child.si_pid, &child, WEXITED | WNOHANG);
    }
}
