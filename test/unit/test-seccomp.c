/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "podmon/seccomp_json.h"
#include "test/unit/test.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { NO_CALL = 100000 };

typedef struct Call {
    long number;
    long arguments[3];
    int expected; /* errno; 0: anything the filter does not say */
} Call;

/* What the filter makes of a call in a process of its own. −1: the process was killed. */
static int ask(const SeccompFilter *filter, const Call *call)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || seccomp_apply(filter) < 0)
            _exit(255);
        errno = 0;
        (void)syscall(call->number, call->arguments[0], call->arguments[1], call->arguments[2], 0,
                      0, 0);
        /* Nothing between here and the kernel: a sanitizer would make calls of its own. */
        (void)syscall(SYS_exit_group, errno);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -2;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int prepare_default(uint64_t capabilities, SeccompFilter *ret, Failure *why)
{
    Podmon__SecurityPlan security = PODMON__SECURITY_PLAN__INIT;

    security.seccomp = PODMON__PROFILE_KIND__PROFILE_DEFAULT;
    return seccomp_prepare(&security, capabilities, ret, why);
}

static int prepare_json(const char *text, SeccompFilter *ret, Failure *why)
{
    Podmon__SecurityPlan security = PODMON__SECURITY_PLAN__INIT;

    security.seccomp = PODMON__PROFILE_KIND__PROFILE_LOCALHOST;
    security.seccomp_profile.data = (uint8_t *)(uintptr_t)text;
    security.seccomp_profile.len = strlen(text);
    return seccomp_prepare(&security, 0, ret, why);
}

TEST(the_default_profile)
{
    static const Call cases[] = {
        {SYS_getpid, {0}, 0},
        {SYS_clone, {SIGCHLD | CLONE_NEWUSER}, EPERM},
        {SYS_clone, {SIGCHLD | CLONE_NEWNET}, EPERM},
        {SYS_clone3, {0}, ENOSYS},
        {SYS_unshare, {CLONE_NEWUSER}, EPERM},
        {SYS_setns, {-1}, EPERM},
        {SYS_mount, {0}, EPERM},
        {SYS_move_mount, {-1}, EPERM},
        {SYS_pivot_root, {0}, EPERM},
        {SYS_bpf, {0}, EPERM},
        {SYS_perf_event_open, {0}, EPERM},
        {SYS_io_uring_setup, {1}, EPERM},
        {SYS_userfaultfd, {0}, EPERM},
        {SYS_keyctl, {0}, EPERM},
        {SYS_kexec_load, {0}, EPERM},
        {SYS_open_by_handle_at, {-1}, EPERM},
        {SYS_swapon, {0}, EPERM},
        {SYS_personality, {PER_LINUX}, 0},
        {SYS_personality, {ADDR_NO_RANDOMIZE}, EPERM},
        {SYS_personality, {READ_IMPLIES_EXEC}, EPERM},
        {SYS_socket, {AF_VSOCK, SOCK_STREAM, 0}, EPERM},
        {SYS_socket, {0x700000000 | AF_VSOCK, SOCK_STREAM, 0}, EPERM},
        {SYS_ioctl, {-1, TIOCSTI, 0}, EPERM},
        {SYS_ioctl, {-1, 0x700000000 | TIOCSTI, 0}, EPERM},
        {SYS_ioctl, {-1, TIOCLINUX, 0}, EPERM},
        {SYS_ioctl, {-1, TIOCGWINSZ, 0}, EBADF},
        {SYS_ptrace, {99, -1}, ESRCH},
        {NO_CALL, {0}, ENOSYS},
    };
    SeccompFilter filter = {0};

    CHECK_EQ(prepare_default(0, &filter, NULL), 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        int error = ask(&filter, &cases[i]);

        if (error != cases[i].expected)
            printf("  case %zu, call %ld\n", i, cases[i].number);
        CHECK_EQ(error, cases[i].expected);
    }
    seccomp_done(&filter);
}

TEST(capabilities_open_what_they_guard)
{
    static const struct {
        int capability;
        Call call;
    } cases[] = {
        {CAP_SYS_ADMIN, {SYS_setns, {-1}, EBADF}},
        {CAP_SYS_ADMIN, {SYS_clone3, {0}, EINVAL}},
        {CAP_SYS_ADMIN, {SYS_move_mount, {-1, 1}, EFAULT}},
        {CAP_SYS_PTRACE, {SYS_pidfd_getfd, {-1}, EBADF}},
        {CAP_DAC_READ_SEARCH, {SYS_open_by_handle_at, {-1, 1}, EFAULT}},
        {CAP_SYS_NICE, {SYS_mbind, {1, 4096}, EINVAL}},
        {CAP_BPF, {SYS_bpf, {9999, 0, 0}, EINVAL}},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        SeccompFilter without = {0}, with = {0};
        int error;

        CHECK_EQ(prepare_default(0, &without, NULL), 0);
        CHECK_EQ(prepare_default(UINT64_C(1) << cases[i].capability, &with, NULL), 0);
        error = ask(&without, &cases[i].call);
        CHECK(error == EPERM || error == ENOSYS);
        error = ask(&with, &cases[i].call);
        if (error == EPERM || error == ENOSYS)
            printf("  case %zu\n", i);
        CHECK(error != EPERM && error != ENOSYS);
        seccomp_done(&without);
        seccomp_done(&with);
    }
}

TEST(no_filter_where_none_is_asked_for)
{
    Podmon__SecurityPlan security = PODMON__SECURITY_PLAN__INIT;
    SeccompFilter filter;

    CHECK_EQ(seccomp_prepare(&security, 0, &filter, NULL), 0);
    CHECK(!filter.instructions);
    security.seccomp = PODMON__PROFILE_KIND__PROFILE_DEFAULT;
    security.privileged = true;
    CHECK_EQ(seccomp_prepare(&security, 0, &filter, NULL), 0);
    CHECK(!filter.instructions);
}

TEST(a_profile_of_the_node)
{
    static const char text[] =
        "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": ["
        "{\"names\": [\"sethostname\", \"no_such_call\"], \"action\": \"SCMP_ACT_ERRNO\"},"
        "{\"name\": \"chmod\", \"action\": \"SCMP_ACT_ERRNO\", \"errnoRet\": 38},"
        "{\"names\": [\"getpid\"], \"action\": \"SCMP_ACT_KILL_PROCESS\"},"
        "{\"names\": [\"close\"], \"action\": \"SCMP_ACT_ERRNO\", \"errnoRet\": 11, \"args\": ["
        "  {\"index\": 0, \"value\": 77, \"op\": \"SCMP_CMP_EQ\"}]}]}";
    static const Call cases[] = {
        {SYS_sethostname, {0}, EPERM}, {SYS_chmod, {0}, ENOSYS}, {SYS_getpid, {0}, -1},
        {SYS_close, {77}, EAGAIN},     {SYS_close, {78}, EBADF}, {SYS_getuid, {0}, 0},
    };
    SeccompFilter filter = {0};

    CHECK_EQ(prepare_json(text, &filter, NULL), 0);
    for (size_t i = 0; i < COUNT(cases); i++)
        CHECK_EQ(ask(&filter, &cases[i]), cases[i].expected);
    seccomp_done(&filter);
}

TEST(an_allow_list_of_the_node)
{
    static const char text[] =
        "{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"defaultErrnoRet\": 13,"
        " \"archMap\": [{\"architecture\": \"SCMP_ARCH_X86_64\", \"subArchitectures\":"
        "   [\"SCMP_ARCH_X86\", \"SCMP_ARCH_X32\"]}],"
        " \"syscalls\": [{\"names\": [\"exit_group\", \"exit\"], \"action\": \"SCMP_ACT_ALLOW\"},"
        " {\"names\": [\"getpid\"], \"action\": \"SCMP_ACT_ALLOW\","
        "  \"includes\": {\"caps\": [\"CAP_SYS_ADMIN\"]}},"
        " {\"names\": [\"getuid\"], \"action\": \"SCMP_ACT_ALLOW\","
        "  \"excludes\": {\"caps\": [\"CAP_SYS_ADMIN\"]}},"
        " {\"names\": [\"getgid\"], \"action\": \"SCMP_ACT_ALLOW\","
        "  \"includes\": {\"minKernel\": \"4.8\"}},"
        " {\"names\": [\"getppid\"], \"action\": \"SCMP_ACT_ALLOW\","
        "  \"includes\": {\"minKernel\": \"99.1\"}}]}";
    static const Call cases[] = {{SYS_getpid, {0}, EACCES},
                                 {SYS_getuid, {0}, 0},
                                 {SYS_getgid, {0}, 0},
                                 {SYS_getppid, {0}, EACCES}};
    SeccompFilter filter = {0};

    CHECK_EQ(prepare_json(text, &filter, NULL), 0);
    for (size_t i = 0; i < COUNT(cases); i++)
        CHECK_EQ(ask(&filter, &cases[i]), cases[i].expected);
    seccomp_done(&filter);
}

TEST(what_is_no_profile)
{
    static const struct {
        const char *text, *problem;
    } cases[] = {
        {"", "line 1 is no JSON"},
        {"{\n\"defaultAction\":\n}", "line 3 is no JSON"},
        {"[]", "is no object"},
        {"{}", "defaultAction: is missing"},
        {"{\"defaultAction\": \"ALLOW\"}", "defaultAction: \"ALLOW\" is not an action"},
        {"{\"defaultAction\": \"SCMP_ACT_NOTIFY\"}", "\"SCMP_ACT_NOTIFY\" is not an action"},
        {"{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": {}}", "syscalls: is no list"},
        {"{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [1]}",
         "syscalls[0].: is no object"},
        {"{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{\"action\": \"SCMP_ACT_KILL\"}]}",
         "syscalls[0].names: is missing"},
        {"{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{\"names\": [1], \"action\": "
         "\"SCMP_ACT_KILL\"}]}",
         "syscalls[0].names: has something that is no text"},
        {"{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{\"names\": [\"read\"], \"action\""
         ": \"SCMP_ACT_KILL\", \"args\": [{\"op\": \"EQ\"}]}]}",
         "syscalls[0].args[0].op: \"EQ\" is not a comparison"},
        {"{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{\"names\": [\"read\"], \"action\""
         ": \"SCMP_ACT_KILL\", \"args\": [{\"op\": \"SCMP_CMP_EQ\", \"index\": 6}]}]}",
         "syscalls[0].args[0].index: is no number, or out of range"},
        {"{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{\"names\": [\"read\"], \"action\""
         ": \"SCMP_ACT_ERRNO\", \"errnoRet\": 4096}]}",
         "syscalls[0].errnoRet: is no number, or out of range"},
        {"{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"architectures\": [\"x86\"]}",
         "architectures: \"x86\" is not an architecture"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        SeccompFilter filter = {0};
        Failure why = {0};

        CHECK(prepare_json(cases[i].text, &filter, &why) < 0);
        if (!strstr(why.text, cases[i].problem))
            printf("  %s\n", why.text);
        CHECK(strstr(why.text, cases[i].problem));
        CHECK_EQ(why.code, FAILURE_INVALID_ARGUMENT);
        CHECK(!filter.instructions);
    }
}

TEST_MAIN
