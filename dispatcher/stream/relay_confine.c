/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/stream/relay_confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "shared/file.h"

#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_SANITIZED true
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED false
#endif

enum { NOBODY = 65534 };

static const int allowed_calls[] = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(sendto),
    SCMP_SYS(recvfrom),
    SCMP_SYS(shutdown),
    SCMP_SYS(close),
    SCMP_SYS(fcntl),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(brk), /* memory */
    SCMP_SYS(mmap),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(mprotect),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),
    SCMP_SYS(getrandom),
    SCMP_SYS(getpid), /* OpenSSL looks whether it has been forked */
    SCMP_SYS(gettid),
    SCMP_SYS(tgkill), /* a crash that says so */
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(exit_group),
};

static void reset_signals(void)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};
    struct sigaction ignored = {.sa_handler = SIG_IGN};
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        (void)sigaction(number, &standard, NULL); /* refused for those that cannot be caught */
    (void)sigaction(SIGPIPE, &ignored, NULL);     /* OpenSSL writes without MSG_NOSIGNAL. */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static int close_others(int one, int other)
{
    unsigned low = (unsigned)(one < other ? one : other);
    unsigned high = (unsigned)(one < other ? other : one);

    if ((low > 3 && close_range(3, low - 1, 0) < 0) ||
        (high > low + 1 && close_range(low + 1, high - 1, 0) < 0) ||
        close_range(high + 1, ~0U, 0) < 0)
        return -errno;
    return 0;
}

int relay_drop(int client_fd, int plain_fd)
{
    const struct rlimit core = {0, 0};
    int r;

    reset_signals();
    (void)prctl(PR_SET_NAME, "podmon-tls");
    (void)setsid(); /* What is sent to the dispatcher's group is not meant for this. */
    (void)file_put_at(AT_FDCWD, "/proc/self/oom_score_adj", "0"); /* nor its protection */
    r = close_others(client_fd, plain_fd);
    if (r < 0)
        return r;
    if (setrlimit(RLIMIT_CORE, &core) < 0 || setgroups(0, NULL) < 0 ||
        setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
        return -errno;
    return 0;
}

int relay_confine(void)
{
    scmp_filter_ctx filter;
    int r;

    if (IS_SANITIZED) /* It calls what it likes. */
        return 0;
    filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    r = filter ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < sizeof(allowed_calls) / sizeof(*allowed_calls); i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed_calls[i], 0);
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    return r;
}
