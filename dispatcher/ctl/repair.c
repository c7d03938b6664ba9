/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/ctl/repair.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "dispatcher/pods/launch.h"
#include "dispatcher/program.h"
#include "podmon/cgroup.h"
#include "podmon/scope.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/file.h"
#include "shared/number.h"
#include "shared/process.h"

enum { UNIT_SECONDS = 15, PROCESS_MS = 5000, GROUP_TRIES = 500, GROUP_MS = 10, UNMOUNTS_MAX = 64 };

/* A dispatcher that runs has started one by now, or is about to: then there is nothing to do. */
static int start_podmon(const Command *command, const Trace *trace, Failure *why)
{
    AUTO_FREE char *program = NULL;
    LaunchPaths paths = {.run_dir = command->run_dir, .root_dir = command->root_dir};
    AUTO_CLOSE int pidfd = -1, null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    AUTO_CLOSE int error_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int r = program_find_podmon(command->config, &program, why);

    if (r < 0)
        return r;
    paths.podmon = program;
    /* It stays much longer than who reads our messages. */
    (void)dup2(null_fd, STDERR_FILENO);
    r = launch_ensure(&paths, trace->what, NULL, 0, &pidfd, why);
    (void)dup2(error_fd, STDERR_FILENO);
    return r;
}

static int end_process(const Command *command, const Trace *trace, Failure *why)
{
    uint64_t pid = 0;
    AUTO_CLOSE int pidfd = -1;
    struct pollfd ended = {.events = POLLIN};
    int r = number_parse_unsigned(trace->what, INT32_MAX, &pid);

    (void)command;
    if (r >= 0)
        r = pidfd = process_open((pid_t)pid, trace->start_time);
    if (r == -ESRCH)
        return 0;
    ended.fd = pidfd;
    if (r >= 0)
        r = fd_signal(pidfd, SIGKILL);
    if (r >= 0 && poll(&ended, 1, PROCESS_MS) == 0)
        r = -ETIME;
    return r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot be ended") : 0;
}

static int stop_unit(const Command *command, const Trace *trace, Failure *why)
{
    (void)command;
    return scope_stop(trace->what, clock_monotonic() + UNIT_SECONDS * CLOCK_SECOND, why);
}

static int remove_group(const Command *command, const Trace *trace, Failure *why)
{
    int r = cgroup_remove(trace->what);

    (void)command;
    for (int tries = 0; r == -EBUSY && tries < GROUP_TRIES; tries++) {
        (void)cgroup_kill(trace->what);
        (void)poll(NULL, 0, GROUP_MS);
        r = cgroup_remove(trace->what);
    }
    return r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot be removed") : 0;
}

static int unmount(const Command *command, const Trace *trace, Failure *why)
{
    (void)command;
    for (int i = 0; i < UNMOUNTS_MAX; i++)
        if (umount2(trace->what, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
            return errno == EINVAL || errno == ENOENT
                       ? 0
                       : failure_set(why, FAILURE_INTERNAL, errno, "cannot be unmounted");
    return failure_say(why, FAILURE_INTERNAL, "something is mounted there again and again");
}

/* Nothing is mounted in it any more: else it stays. */
static int delete_tree(const Command *command, const Trace *trace, Failure *why)
{
    AUTO_FREE char *parent = strdup(trace->what);
    char *slash = parent ? strrchr(parent, '/') : NULL;
    AUTO_CLOSE int fd = -1;
    int r = slash ? 0 : -ENOMEM;

    (void)command;
    if (slash) {
        *slash = '\0';
        fd = open(parent, O_DIRECTORY | O_PATH | O_NOFOLLOW | O_CLOEXEC);
        r = fd < 0 ? -errno : file_delete_tree_at(fd, slash + 1);
    }
    return r < 0 && r != -ENOENT ? failure_set(why, FAILURE_INTERNAL, -r, "cannot be deleted") : 0;
}

int repair_trace(const Command *command, const Trace *trace, Failure *why)
{
    static int (*const repairs[])(const Command *, const Trace *, Failure *) = {
        [TRACE_POD] = start_podmon,  [TRACE_PROCESS] = end_process,
        [TRACE_UNIT] = stop_unit,    [TRACE_GROUP] = remove_group,
        [TRACE_MOUNT] = unmount,     [TRACE_DIRECTORY] = delete_tree,
        [TRACE_LEASE] = delete_tree,
    };

    return repairs[trace->kind](command, trace, why);
}
