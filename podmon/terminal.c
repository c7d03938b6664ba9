/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "podmon/process.h"
#include "podmon/publish.h"
#include "shared/cleanup.h"
#include "shared/fd.h"

enum {
    KEPT_FD = 3, /* the master's number in the keeper */
    WATCHED_FD = 4,
    FREE_FD = 10,
    REST_MS = 60 * 1000, /* for the output that is still in the terminal to be read */
};

static _Noreturn void keeper_main(int master, int pidfd)
{
    struct pollfd watched = {.fd = WATCHED_FD, .events = POLLIN};
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int signal = 1; signal < NSIG; signal++)
        (void)sigaction(signal, &standard, NULL); /* refused for those that cannot be caught */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setsid();
    (void)prctl(PR_SET_NAME, "podmon-terminal");
    master = fcntl(master, F_DUPFD, FREE_FD);
    pidfd = fcntl(pidfd, F_DUPFD, FREE_FD);
    if (dup2(master, KEPT_FD) < 0 || dup2(pidfd, WATCHED_FD) < 0 ||
        close_range(WATCHED_FD + 1, ~0U, 0) < 0)
        _exit(EXIT_FAILURE);
    while (poll(&watched, 1, -1) < 0 && errno == EINTR)
        ;
    (void)poll(NULL, 0, REST_MS);
    _exit(EXIT_SUCCESS);
}

int terminal_keep(int master, int pidfd, Podmon__ContainerRecord *record, Failure *why)
{
    uint64_t start;
    pid_t pid = fork();
    int r;

    if (pid == 0)
        keeper_main(master, pidfd);
    if (pid < 0)
        return failure_set(why, FAILURE_RESOURCE_EXHAUSTED, errno, "cannot keep the terminal");
    r = process_read_start(pid, &start);
    if (r >= 0)
        r = record_set_process(&record->terminal_keeper, pid, start);
    if (r < 0) {
        (void)kill(pid, SIGKILL); /* A child of ours that nobody has reaped. */
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot keep the terminal");
    }
    return 0;
}

static int open_keeper(const Podmon__ContainerRecord *record)
{
    const Podmon__ProcessIdentity *keeper = record->terminal_keeper;

    return keeper ? process_open(keeper->pid, keeper->start_time) : -ESRCH;
}

int terminal_find(const Podmon__ContainerRecord *record)
{
    AUTO_CLOSE int pidfd = open_keeper(record);
    int fd;

    if (pidfd < 0)
        return pidfd;
    fd = (int)syscall(SYS_pidfd_getfd, pidfd, KEPT_FD, 0);
    return fd < 0 ? -errno : fd;
}

void terminal_dismiss(Podmon__ContainerRecord *record)
{
    AUTO_CLOSE int pidfd = open_keeper(record);

    if (pidfd >= 0)
        (void)fd_signal(pidfd, SIGKILL);
    (void)record_set_process(&record->terminal_keeper, 0, 0); /* Clearing needs no memory. */
}
