/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/spawn.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "podmon/clone.h"
#include "podmon/stage.h"
#include "podmon/userns.h"
#include "shared/cleanup.h"
#include "shared/fd.h"
#include "shared/file.h"
#include "shared/text.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

enum {
    PF_FORKNOEXEC = 0x40, /* linux/sched.h of the kernel, in field 9 of /proc/PID/stat */
};

struct SpawnPlan {
    StagePlan stage;
    MountPlan mounts;
    int *kept;
    char **programs;
    char **argv;
    char **env;
    uint64_t clone_flags;
    int pidns_fd;   /* borrowed: the child is born in it; −1: see clone_flags */
    int answer[2];  /* with pidns_fd, a pipe: clone_stage's */
    int tty_master; /* of an exec's pty */
    int tty_slave;
};

SpawnPlan *spawn_plan_free(SpawnPlan *plan)
{
    if (!plan)
        return NULL;
    mounts_done(&plan->mounts);
    seccomp_done(&plan->stage.seccomp);
    text_list_free(plan->programs);
    text_list_free(plan->argv);
    text_list_free(plan->env);
    free(plan->kept);
    fd_close(&plan->answer[0]);
    fd_close(&plan->answer[1]);
    fd_close(&plan->tty_master);
    fd_close(&plan->tty_slave);
    free(plan);
    return NULL;
}

static void plan_cleanup(SpawnPlan **plan)
{
    (void)spawn_plan_free(*plan);
}

static const char *env_get(char *const *env, const char *name)
{
    size_t length = strlen(name);

    for (; env && *env; env++)
        if (strncmp(*env, name, length) == 0 && (*env)[length] == '=')
            return *env + length + 1;
    return NULL;
}

static int env_default(char ***env, const char *name, const char *value)
{
    char entry[PATH_MAX];

    if (env_get(*env, name))
        return 0;
    if (snprintf(entry, sizeof(entry), "%s=%s", name, value) >= PATH_MAX)
        return -ENAMETOOLONG;
    return text_list_add(env, entry);
}

static int fill_env(const Podmon__ContainerSpec *spec, const Identity *identity, bool has_tty,
                    char ***ret)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < spec->n_env; i++)
        r = text_list_add(ret, spec->env[i]);
    if (r >= 0)
        r = env_default(ret, "HOME", identity->home);
    if (r >= 0 && has_tty)
        r = env_default(ret, "TERM", "xterm");
    return r;
}

/* Where the program may be, in the container. */
static int fill_programs(const char *name, char *const *env, char ***ret)
{
    const char *path = env_get(env, "PATH");
    char program[PATH_MAX];

    if (strchr(name, '/'))
        return text_list_add(ret, name);
    for (path = path ? path : DEFAULT_PATH; *path; path += *path == ':') {
        size_t length = strcspn(path, ":");
        int r = 0;

        /* An entry that is not absolute would mean the working directory. */
        if (*path == '/' &&
            snprintf(program, sizeof(program), "%.*s/%s", (int)length, path, name) < PATH_MAX)
            r = text_list_add(ret, program);
        if (r < 0)
            return r;
        path += length;
    }
    return *ret ? 0 : text_list_add(ret, "");
}

static int compare_fds(const void *left, const void *right)
{
    return *(const int *)left - *(const int *)right;
}

static void keep(SpawnPlan *plan, int fd)
{
    if (fd > 2)
        plan->kept[plan->stage.kept_count++] = fd;
}

static int fill_kept(SpawnPlan *plan)
{
    const StagePlan *stage = &plan->stage;
    size_t most = 2 * plan->mounts.steps_count + CGROUP_HIERARCHIES_MAX + 16;

    if (plan->pidns_fd >= 0 && pipe2(plan->answer, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    plan->kept = calloc(most, sizeof(*plan->kept));
    if (!plan->kept)
        return -ENOMEM;
    for (size_t i = 0; i < plan->mounts.steps_count; i++) {
        keep(plan, plan->mounts.steps[i].fd);
        keep(plan, plan->mounts.steps[i].relabel_fd);
    }
    for (int i = 0; stage->cgroup && i < stage->cgroup->join_count; i++)
        keep(plan, stage->cgroup->join_fds[i]);
    for (int i = 0; i < 3; i++)
        keep(plan, stage->stdio[i]);
    keep(plan, stage->tty_fd);
    keep(plan, plan->pidns_fd);
    keep(plan, plan->answer[1]);
    keep(plan, stage->target_pidfd);
    keep(plan, stage->netns_fd);
    keep(plan, stage->ipcns_fd);
    keep(plan, stage->utsns_fd);
    keep(plan, stage->userns_fd);
    keep(plan, stage->root_fd);
    keep(plan, plan->mounts.null_fd);
    keep(plan, plan->mounts.empty_fd);
    qsort(plan->kept, plan->stage.kept_count, sizeof(*plan->kept), compare_fds);
    plan->stage.kept = plan->kept;
    return 0;
}

static int fill_privileges(SpawnPlan *plan, const SpawnContext *context,
                           const Podmon__ContainerSpec *spec, Failure *why)
{
    const Podmon__SecurityPlan *security = spec->security;
    uint64_t own = 0;
    int r = capabilities_read_own(&own);

    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot read podmon's capabilities");
    plan->stage.capabilities = capabilities_plan(security, own);
    plan->stage.no_new_privileges = security && security->no_new_privileges;
    r = lsm_prepare(context->pod, security, &plan->stage.lsm, why);
    if (r < 0)
        return r;
    return seccomp_prepare(security, plan->stage.capabilities.bounding, &plan->stage.seccomp, why);
}

static int fill_program(SpawnPlan *plan, const Podmon__ContainerSpec *spec,
                        const Identity *identity, char *const *argv, size_t argc, bool has_tty)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < argc; i++)
        r = text_list_add(&plan->argv, argv[i]);
    if (r >= 0)
        r = fill_env(spec, identity, has_tty, &plan->env);
    if (r >= 0)
        r = fill_programs(argv[0], plan->env, &plan->programs);
    plan->stage.programs = plan->programs;
    plan->stage.argv = plan->argv;
    plan->stage.env = plan->env;
    return r;
}

/* What a container's first process and an exec have in common. */
static int plan_new(const SpawnContext *context, const Podmon__ContainerSpec *spec,
                    const Identity *identity, const SpawnStdio *stdio, SpawnPlan **ret,
                    Failure *why)
{
    SpawnPlan *plan = calloc(1, sizeof(*plan));
    int64_t oom_score_adj = spec->resources ? spec->resources->oom_score_adj : 0;
    int r;

    if (!plan)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot plan the process");
    *ret = plan;
    plan->mounts = MOUNT_PLAN_EMPTY;
    plan->pidns_fd = plan->tty_master = plan->tty_slave = -1;
    plan->answer[0] = plan->answer[1] = -1;
    plan->stage.cgroup = context->cgroup;
    plan->stage.target_pidfd = plan->stage.root_fd = -1;
    plan->stage.netns_fd = plan->stage.ipcns_fd = plan->stage.utsns_fd = -1;
    plan->stage.userns_fd = context->sandbox->userns_fd;
    plan->stage.stdio_uid = userns_host_uid(context->pod->namespaces, identity->uid);
    plan->stage.directory = *spec->cwd ? spec->cwd : "/";
    plan->stage.identity = identity;
    plan->stage.tty_fd = stdio->tty;
    plan->stage.stdio[0] = stdio->in;
    plan->stage.stdio[1] = stdio->out;
    plan->stage.stdio[2] = stdio->err;
    if (oom_score_adj < -1000 || oom_score_adj > 1000)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "oom_score_adj %lld is not from -1000 to 1000",
                           (long long)oom_score_adj);
    if (spec->resources)
        (void)snprintf(plan->stage.oom_score_adj, sizeof(plan->stage.oom_score_adj), "%d",
                       (int)oom_score_adj);
    r = userns_check_identity(context->pod->namespaces, identity, why);
    return r < 0 ? r : fill_privileges(plan, context, spec, why);
}

static int plan_pid_namespace(SpawnPlan *plan, const SpawnContext *context,
                              const Podmon__ContainerSpec *spec, Failure *why)
{
    const Podmon__Namespaces *namespaces = spec->namespaces;

    switch (namespaces ? namespaces->pid : PODMON__NAMESPACE_MODE__NAMESPACE_CONTAINER) {
    case PODMON__NAMESPACE_MODE__NAMESPACE_CONTAINER:
        plan->clone_flags |= (uint64_t)CLONE_NEWPID;
        return 0;
    case PODMON__NAMESPACE_MODE__NAMESPACE_NODE:
        return 0;
    case PODMON__NAMESPACE_MODE__NAMESPACE_POD:
        plan->pidns_fd = context->sandbox->pidns_fd;
        break;
    case PODMON__NAMESPACE_MODE__NAMESPACE_TARGET:
        plan->pidns_fd = context->target_pidns_fd;
        break;
    case _PODMON__NAMESPACE_MODE_IS_INT_SIZE:
        break;
    }
    if (plan->pidns_fd < 0)
        return failure_say(why, FAILURE_FAILED_PRECONDITION,
                           "the pid namespace that the container is to share does not exist");
    return 0;
}

int spawn_plan_container(const SpawnContext *context, const Podmon__ContainerSpec *spec,
                         const Identity *identity, int root_fd, const SpawnStdio *stdio,
                         SpawnPlan **ret, Failure *why)
{
    CLEANUP(plan_cleanup) SpawnPlan *plan = NULL;
    int r;

    if (spec->n_argv == 0)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "neither the container nor its image says what to execute");
    r = plan_new(context, spec, identity, stdio, &plan, why);
    if (r < 0)
        return r;
    if ((r = plan_pid_namespace(plan, context, spec, why)) < 0 ||
        (r = mounts_prepare(context, spec, stdio->make_tty, &plan->mounts, why)) < 0)
        return r;
    plan->clone_flags |= (uint64_t)CLONE_NEWNS;
    plan->stage.mounts = &plan->mounts;
    plan->stage.root_fd = root_fd;
    plan->stage.netns_fd = context->sandbox->netns_fd;
    plan->stage.ipcns_fd = context->sandbox->ipcns_fd;
    plan->stage.utsns_fd = context->sandbox->utsns_fd;
    if (stdio->make_tty)
        plan->stage.tty_fd = plan->mounts.tty_slave;
    if ((r = fill_program(plan, spec, identity, spec->argv, spec->n_argv,
                          plan->stage.tty_fd >= 0)) < 0 ||
        (r = fill_kept(plan)) < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot plan the process");
    *ret = TAKE(plan);
    return 0;
}

static int plan_exec_tty(SpawnPlan *plan, const SpawnExec *exec, Failure *why)
{
    AUTO_CLOSE int root_fd = -1;
    char path[32];
    int r;

    (void)snprintf(path, sizeof(path), "/proc/%d/root", exec->target_pid);
    root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0)
        return failure_set(why, FAILURE_FAILED_PRECONDITION, errno, "the container has ended");
    r = mounts_open_pty(root_fd, "/dev/pts/ptmx", &plan->tty_master, &plan->tty_slave);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot open a terminal in the container");
    plan->stage.tty_fd = plan->tty_slave;
    return 0;
}

int spawn_plan_exec(const SpawnContext *context, const Podmon__ContainerSpec *spec,
                    const Identity *identity, const SpawnExec *exec, const SpawnStdio *stdio,
                    SpawnPlan **ret, Failure *why)
{
    CLEANUP(plan_cleanup) SpawnPlan *plan = NULL;
    size_t argc = text_list_count(exec->argv);
    int r;

    if (argc == 0)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "no command to execute was given");
    r = plan_new(context, spec, identity, stdio, &plan, why);
    if (r < 0)
        return r;
    plan->stage.target_pidfd = plan->pidns_fd = exec->target_pidfd;
    if (stdio->make_tty && (r = plan_exec_tty(plan, exec, why)) < 0)
        return r;
    if ((r = fill_program(plan, spec, identity, exec->argv, argc, plan->stage.tty_fd >= 0)) < 0 ||
        (r = fill_kept(plan)) < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot plan the process");
    *ret = TAKE(plan);
    return 0;
}

int spawn_start(const SpawnPlan *plan, SpawnedProcess *ret, Failure *why)
{
    SpawnedProcess process = {.pidfd = -1, .tty_fd = -1};
    int master = plan->tty_master >= 0 ? plan->tty_master : plan->mounts.tty_master;
    AUTO_CLOSE int outcome = -1;
    AUTO_CLOSE int report = -1;
    AUTO_CLOSE int tty_fd = -1;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot make a pipe");
    outcome = ends[0];
    report = ends[1];
    if (master >= 0) {
        tty_fd = fcntl(master, F_DUPFD_CLOEXEC, 3);
        if (tty_fd < 0)
            return failure_set(why, FAILURE_INTERNAL, errno, "cannot keep the terminal");
    }
    process.pid = clone_stage(&plan->stage, plan->clone_flags, plan->pidns_fd, plan->answer, report,
                              &process.pidfd);
    if (process.pid < 0)
        return failure_set(why,
                           process.pid == -ESRCH ? FAILURE_FAILED_PRECONDITION : FAILURE_INTERNAL,
                           -process.pid, "cannot make a process%s",
                           plan->pidns_fd >= 0 ? " in the namespaces of the container" : "");
    process.outcome_fd = take_fd(&outcome);
    process.tty_fd = take_fd(&tty_fd);
    *ret = process;
    return 0;
}

static int explain(const StageReport *report, Failure *why)
{
    static const struct {
        FailureCode code;
        const char *what;
    } steps[STAGE_STEPS] = {
        [STAGE_CGROUP] = {FAILURE_INTERNAL, "cannot enter the cgroup"},
        [STAGE_PREPARE] = {FAILURE_INTERNAL, "cannot prepare the process"},
        [STAGE_OOM_SCORE] = {FAILURE_INTERNAL, "cannot set oom_score_adj"},
        [STAGE_LABEL] = {FAILURE_FAILED_PRECONDITION, "cannot set the security label"},
        [STAGE_KEYRING] = {FAILURE_INTERNAL, "cannot make a session keyring"},
        [STAGE_NAMESPACES] = {FAILURE_INTERNAL, "cannot enter the namespaces"},
        [STAGE_MOUNTS] = {FAILURE_FAILED_PRECONDITION, "cannot mount"},
        [STAGE_DIRECTORY] = {FAILURE_FAILED_PRECONDITION, "cannot enter the working directory"},
        [STAGE_STDIO] = {FAILURE_INTERNAL, "cannot place stdin, stdout and stderr"},
        [STAGE_TERMINAL] = {FAILURE_INTERNAL, "cannot take the terminal"},
        [STAGE_SECCOMP] = {FAILURE_INTERNAL, "cannot load the seccomp filter"},
        [STAGE_IDENTITY] = {FAILURE_INTERNAL, "cannot change user and capabilities"},
    };
    const char *reason = strerrordesc_np(report->error);
    const char *text = report->text;

    if (report->step == STAGE_EXECUTE) {
        if (report->error == ENOENT && !strchr(text, '/'))
            return failure_say(why, FAILURE_FAILED_PRECONDITION,
                               "exec: \"%s\": executable file not found in $PATH", text);
        reason = reason ? reason : "unknown error";
        return failure_say(why, FAILURE_FAILED_PRECONDITION, "exec: \"%s\": %c%s", text,
                           tolower((unsigned char)*reason), reason + 1);
    }
    if (report->step < 0 || report->step > STAGE_EXECUTE)
        return failure_say(why, FAILURE_INTERNAL, "the process ended in an unknown way");
    return failure_set(why, steps[report->step].code, report->error, *text ? "%s \"%s\"" : "%s%s",
                       steps[report->step].what, text);
}

/* The pipe closes when the program starts, and also when the process is killed before it could; by
 * itself it does not end without a report. A process that never executed anything keeps a flag that
 * says so, even as a zombie. */
static bool was_killed_early(const SpawnedProcess *process)
{
    AUTO_FREE char *text = NULL;
    siginfo_t state = {0};
    const char *field;
    char path[32];

    if (waitid(P_PIDFD, (id_t)process->pidfd, &state, WEXITED | WNOHANG | WNOWAIT) < 0 ||
        state.si_pid == 0 || state.si_code == CLD_EXITED)
        return false;
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", process->pid);
    if (file_read_virtual_at(AT_FDCWD, path, 4096, &text, NULL) < 0)
        return false;
    field = strrchr(text, ')');
    for (int i = 2; field && i < 9; i++)
        field = strchr(field + 1, ' ');
    return field && (strtoul(field, NULL, 10) & PF_FORKNOEXEC) != 0;
}

int spawn_read_outcome(SpawnedProcess *process, Failure *why)
{
    StageReport report;
    ssize_t size = read(process->outcome_fd, &report, sizeof(report));

    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (size == 0 && !was_killed_early(process))
        return 1;
    if (size != (ssize_t)sizeof(report))
        return failure_say(why, FAILURE_INTERNAL,
                           "the process was killed before it could start its program");
    report.text[sizeof(report.text) - 1] = '\0';
    return explain(&report, why);
}
