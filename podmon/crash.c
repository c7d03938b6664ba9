/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/crash.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "shared/clock.h"
#include "shared/layout.h"

enum { STACK_SIZE = 32 * 1024 };

static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGSYS};

/* A signal handler has no other way to be told anything. Written once, by crash_prepare. */
static struct {
    char **argv;
    Ledger *ledger;
    int program_fd;
    pid_t pid;
} prepared = {.program_fd = -1};

static _Alignas(16) char stack[STACK_SIZE];

static void keep_descriptors(int flags)
{
    (void)fcntl(LAYOUT_FD_CONTROL, F_SETFD, flags);
    (void)fcntl(LAYOUT_FD_LOCK, F_SETFD, flags);
}

/* Only what is async-signal-safe. SA_NODEFER, because the next program inherits what is blocked. A
 * child that has not executed anything yet, and crashes, is not podmon and dies of it. */
static void crashed(int signal, siginfo_t *info, void *context)
{
    uint64_t address = (uint64_t)(uintptr_t)info->si_addr;

    (void)context;
    if (getpid() == prepared.pid &&
        ledger_note_crash(prepared.ledger, signal, address, clock_monotonic())) {
        keep_descriptors(0);
        (void)fexecve(prepared.program_fd, prepared.argv, environ);
    }
    (void)raise(signal); /* The default action, by SA_RESETHAND. */
}

int crash_prepare(char **argv, Ledger *ledger)
{
    const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction action = {.sa_sigaction = crashed};

    prepared.program_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (prepared.program_fd < 0)
        return -errno;
    prepared.argv = argv;
    prepared.ledger = ledger;
    prepared.pid = getpid();
    if (sigaltstack(&alternate, NULL) < 0)
        return -errno;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND | SA_NODEFER;
    (void)sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
        if (sigaction(signals[i], &action, NULL) < 0)
            return -errno;
    return 0;
}

int crash_become(const char *program, Failure *why)
{
    int error;

    keep_descriptors(0);
    (void)execv(program, prepared.argv);
    error = errno;
    keep_descriptors(FD_CLOEXEC);
    return failure_set(why, FAILURE_FAILED_PRECONDITION, error, "cannot execute %s", program);
}
