/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "podmon/attach.h"

typedef struct Stage {
    const StagePlan *plan;
    int outcome_fd;
    int label_fd;
} Stage;

static _Noreturn void stage_fail(const Stage *stage, StageStep step, int error, const char *text)
{
    StageReport report = {.step = (int32_t)step, .error = error};

    for (size_t i = 0; i + 1 < sizeof(report.text) && text[i]; i++)
        report.text[i] = text[i];
    /* Whoever does not read it sees the process end. */
    (void)!write(stage->outcome_fd, &report, sizeof(report));
    for (;;)
        (void)syscall(SYS_exit_group, 127);
}

static void stage_check(const Stage *stage, StageStep step, int result)
{
    if (result < 0)
        stage_fail(stage, step, -result, "");
}

/* The host's directories, sockets and locks that podmon holds are nobody's business from here on.
 */
static int close_others(const StagePlan *plan, int outcome_fd)
{
    unsigned int next = 3;

    for (size_t i = 0; i <= plan->kept_count; i++) {
        unsigned int kept = i < plan->kept_count ? (unsigned int)plan->kept[i] : ~0U;
        unsigned int outcome = (unsigned int)outcome_fd;

        if (next <= outcome && outcome < kept) {
            if (next < outcome && syscall(SYS_close_range, next, outcome - 1, 0) < 0)
                return -errno;
            next = outcome + 1;
        }
        if (next < kept && syscall(SYS_close_range, next, kept == ~0U ? kept : kept - 1, 0) < 0)
            return -errno;
        if (kept >= next)
            next = kept + 1;
    }
    return 0;
}

/* Not dumpable: who shares the pid namespace must not look into a process that still is podmon's
 * copy. The death signal falls away at the execve. */
static int become_private(void)
{
    if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return -errno;
    (void)umask(0022);
    return 0;
}

/* A machine that withholds CAP_SYS_RESOURCE only lets the value grow: then it stays. */
static int set_oom_score(const char *value)
{
    int fd, r = 0;

    if (!*value)
        return 0;
    fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (write(fd, value, strlen(value)) < 0 && errno != EACCES)
        r = -errno;
    (void)close(fd);
    return r;
}

/* Without keyrings in the kernel there is nothing to keep apart. */
static int new_keyring(void)
{
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0) < 0 && errno != ENOSYS)
        return -errno;
    return 0;
}

static int join(int fd, int type)
{
    return fd >= 0 && setns(fd, type) < 0 ? -errno : 0;
}

/* The cgroup namespace is made here and not by clone3(2), which would root it in podmon's group. */
static int enter_namespaces(const StagePlan *plan)
{
    int r;

    if (plan->target_pidfd >= 0)
        return join(plan->target_pidfd,
                    CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWCGROUP);
    if ((r = join(plan->netns_fd, CLONE_NEWNET)) < 0 ||
        (r = join(plan->ipcns_fd, CLONE_NEWIPC)) < 0 ||
        (r = join(plan->utsns_fd, CLONE_NEWUTS)) < 0)
        return r;
    return unshare(CLONE_NEWCGROUP) < 0 ? -errno : 0;
}

/* Everything before is done as the host's root, because the container's cannot. A copy of the mount
 * namespace makes it the user namespace's: its root may mount there, and what is mounted now is
 * locked as it is. */
static int enter_user_namespace(const StagePlan *plan)
{
    int r = join(plan->userns_fd, CLONE_NEWUSER);

    if (r < 0 || plan->userns_fd < 0 || !plan->mounts)
        return r;
    return unshare(CLONE_NEWNS) < 0 ? -errno : 0;
}

/* A program that is not root opens /dev/stdout by name, which needs the pipe to be its own. */
static void own_pipe(int fd, uid_t uid)
{
    struct stat status;

    if (uid != 0 && fstat(fd, &status) == 0 &&
        (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)) && status.st_uid != uid &&
        (S_ISFIFO(status.st_mode) || isatty(fd)))
        (void)!fchown(fd, uid, (gid_t)-1);
}

/* First out of the way, so that none is overwritten before it was moved. */
static int place_stdio(const StagePlan *plan)
{
    int high[3];

    for (int i = 0; i < 3; i++) {
        high[i] = fcntl(plan->tty_fd >= 0 ? plan->tty_fd : plan->stdio[i], F_DUPFD_CLOEXEC, 3);
        if (high[i] < 0)
            return -errno;
    }
    for (int i = 0; i < 3; i++) {
        if (dup2(high[i], i) < 0)
            return -errno;
        (void)close(high[i]);
        own_pipe(i, plan->stdio_uid);
    }
    return 0;
}

static int start_session(const StagePlan *plan)
{
    if (setsid() < 0)
        return -errno;
    return plan->tty_fd >= 0 && ioctl(0, TIOCSCTTY, 0) < 0 ? -errno : 0;
}

/* Handlers it has none (podmon/clone.h), and podmon ignores nothing. */
static void unblock_signals(void)
{
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* A filter can be loaded by who has no new privileges, or by root while it still is. */
static void change_identity(const Stage *stage)
{
    const StagePlan *plan = stage->plan;

    if (plan->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        stage_fail(stage, STAGE_IDENTITY, errno, "");
    if (!plan->no_new_privileges)
        stage_check(stage, STAGE_SECCOMP, seccomp_apply(&plan->seccomp));
    stage_check(stage, STAGE_IDENTITY, capabilities_become(&plan->capabilities, plan->identity));
    if (plan->no_new_privileges)
        stage_check(stage, STAGE_SECCOMP, seccomp_apply(&plan->seccomp));
}

/* Nothing but 0, 1, 2 and the outcome, which closes itself, is open when the program starts. */
static int close_rest(Stage *stage)
{
    if (stage->outcome_fd != 3) {
        if (dup3(stage->outcome_fd, 3, O_CLOEXEC) < 0)
            return -errno;
        stage->outcome_fd = 3;
    }
    return syscall(SYS_close_range, 4U, ~0U, 0) < 0 ? -errno : 0;
}

/* As a shell does: what may not be executed is remembered, what is not there is passed over. */
static _Noreturn void execute(const Stage *stage)
{
    const StagePlan *plan = stage->plan;
    int error = ENOENT;

    for (char *const *program = plan->programs; *program; program++) {
        (void)execve(*program, plan->argv, plan->env);
        if (errno == EACCES)
            error = EACCES;
        else if (errno != ENOENT && errno != ENOTDIR)
            stage_fail(stage, STAGE_EXECUTE, errno, plan->argv[0]);
    }
    stage_fail(stage, STAGE_EXECUTE, error, plan->argv[0]);
}

void stage_prepare(const StagePlan *plan, int outcome_fd)
{
    const Stage stage = {plan, outcome_fd, -1};

    stage_check(&stage, STAGE_PREPARE, close_others(plan, outcome_fd));
    if (plan->cgroup)
        stage_check(&stage, STAGE_CGROUP, cgroup_entry_join(plan->cgroup));
    stage_check(&stage, STAGE_PREPARE, become_private());
    stage_check(&stage, STAGE_STDIO, place_stdio(plan));
}

_Noreturn void stage_run(const StagePlan *plan, int outcome_fd)
{
    Stage stage = {plan, outcome_fd, -1};
    const char *where = "";
    int r;

    stage_check(&stage, STAGE_OOM_SCORE, set_oom_score(plan->oom_score_adj));
    stage_check(&stage, STAGE_LABEL, lsm_open(&plan->lsm, &stage.label_fd));
    stage_check(&stage, STAGE_KEYRING, new_keyring());
    stage_check(&stage, STAGE_NAMESPACES, enter_namespaces(plan));
    if (plan->mounts) {
        r = attach_container(plan->mounts, plan->root_fd, &where);
        if (r < 0)
            stage_fail(&stage, STAGE_MOUNTS, -r, where);
    }
    r = attach_enter(plan->directory);
    if (r < 0)
        stage_fail(&stage, STAGE_DIRECTORY, -r, plan->directory);
    stage_check(&stage, STAGE_TERMINAL, start_session(plan));
    stage_check(&stage, STAGE_LABEL, lsm_apply(&plan->lsm, stage.label_fd));
    stage_check(&stage, STAGE_NAMESPACES, enter_user_namespace(plan));
    stage_check(&stage, STAGE_PREPARE, close_rest(&stage));
    change_identity(&stage);
    unblock_signals();
    if (prctl(PR_SET_PDEATHSIG, 0) < 0)
        stage_fail(&stage, STAGE_PREPARE, errno, "");
    execute(&stage);
}
