/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/command.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "podmon/teardown.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/log.h"

enum {
    START_SECONDS = 30,
    EMPTY_TRIES = 500, /* 2 ms each: for killed processes to be gone */
    EMPTY_MS = 2,
    LEAVE_MS = 1, /* who has been answered goes first */
};

struct Command {
    Pod *pod;
    char *cgroup;
    uint32_t number; /* the cgroup's */
    SpawnedProcess process;
    EventSource *watch; /* outcome_fd, then the pidfd */
    EventSource *timer; /* of the start; later of the empty cgroup */
    CommandEnded ended;
    CommandLeft left;
    void *data;
    bool has_ended;
    bool killed;
    unsigned tries;
    Failure failure;
};

static void command_free(Command *command)
{
    ledger_drop_exec(command->pod->ledger, command->number);
    event_free(command->watch);
    event_free(command->timer);
    fd_close(&command->process.pidfd);
    fd_close(&command->process.outcome_fd);
    fd_close(&command->process.tty_fd);
    free(command->cgroup);
    free(command);
}

static void tell_left(Command *command)
{
    CommandLeft left = command->left;

    command->left = NULL;
    if (left)
        left(command->data);
}

static void finish(Command *command)
{
    Pod *pod = command->pod;

    tell_left(command);
    command_free(command);
    pod->exec_running--;
    pod_reap_orphans(pod);
    teardown_go_on(pod);
    pod_maybe_exit(pod);
}

static void leave_cgroup(void *data, uint32_t events);

/* Or now, without memory for a timer. */
static int leave_later(Command *command, uint64_t milliseconds)
{
    uint64_t when = clock_monotonic() + milliseconds * CLOCK_MILLISECOND;

    command->timer = event_free(command->timer);
    return event_add_timer(command->pod->loop, when, leave_cgroup, command, &command->timer);
}

static void leave_cgroup(void *data, uint32_t events)
{
    Command *command = data;
    int r = cgroup_remove_leaf(command->cgroup);

    (void)events;
    if (r == -EBUSY && command->killed && command->tries++ < EMPTY_TRIES) {
        (void)cgroup_kill(command->cgroup); /* What forked while it was being killed. */
        if (leave_later(command, EMPTY_MS) >= 0)
            return;
    }
    if (r < 0 && r != -EBUSY)
        log_warning("cannot remove the cgroup %s: error %d", command->cgroup, -r);
    finish(command);
}

void command_leave(Command *command, CommandLeft left, void *data)
{
    command->left = left;
    command->data = data;
    if (command->killed) {
        leave_cgroup(command, 0);
        return;
    }
    tell_left(command);
    if (leave_later(command, LEAVE_MS) < 0)
        leave_cgroup(command, 0);
}

static void process_ended(void *data, uint32_t events)
{
    Command *command = data;
    ProcessEnd end = {0};

    (void)events;
    command->watch = event_free(command->watch);
    command->timer = event_free(command->timer);
    if (process_read_end(command->process.pidfd, &end) < 0 || !end.known)
        end.status = 255; /* Not reached for a child of ours whose pidfd is readable. */
    command->has_ended = true;
    command->ended(command->data, &end,
                   command->failure.code == FAILURE_NONE ? NULL : &command->failure);
}

static int await_end(Command *command)
{
    command->watch = event_free(command->watch);
    fd_close(&command->process.outcome_fd);
    return event_add_fd(command->pod->loop, command->process.pidfd, EPOLLIN, process_ended, command,
                        &command->watch);
}

void command_kill(Command *command, FailureCode code, const char *sentence)
{
    if (command->has_ended || command->killed)
        return;
    command->killed = true;
    if (command->failure.code == FAILURE_NONE)
        (void)failure_say(&command->failure, code, "%s", sentence);
    (void)cgroup_kill(command->cgroup); /* leave_cgroup tries again. */
    (void)fd_signal(command->process.pidfd, SIGKILL);
    if (await_end(command) < 0)
        log_error("no memory to await the end of process %d", (int)command->process.pid);
}

static void start_expired(void *data, uint32_t events)
{
    (void)events;
    command_kill(data, FAILURE_DEADLINE_EXCEEDED, "the command did not start in time");
}

static void outcome_ready(void *data, uint32_t events)
{
    Command *command = data;

    (void)events;
    if (spawn_read_outcome(&command->process, &command->failure) == 0)
        return;
    command->timer = event_free(command->timer);
    if (await_end(command) < 0)
        command_kill(command, FAILURE_INTERNAL, "cannot watch the command's process");
}

static int spawn(Command *command, const Container *container, char *const *argv,
                 const SpawnStdio *stdio, Failure *why)
{
    const Pod *pod = container->pod;
    SpawnExec exec = {argv, container->process.pidfd, container->process.pid, stdio->make_tty};
    SpawnPlan *plan = NULL;
    CgroupEntry entry;
    SpawnContext context = {pod->spec, &pod->sandbox, pod->run_path, -1, &entry, command->cgroup};
    int r = cgroup_entry_open_leaf(container->record->cgroup, command->cgroup, &entry, why);

    if (r >= 0) {
        r = spawn_plan_exec(&context, container->record->spec, container->identity, &exec, stdio,
                            &plan, why);
        if (r >= 0)
            r = spawn_start(plan, &command->process, why);
        spawn_plan_free(plan);
        cgroup_entry_done(&entry);
    }
    if (r < 0)
        (void)cgroup_remove_leaf(command->cgroup); /* Goes with the container's, at the latest. */
    return r;
}

static void watch_start(Command *command)
{
    EventLoop *loop = command->pod->loop;
    uint64_t deadline = clock_monotonic() + START_SECONDS * CLOCK_SECOND;
    int r = event_add_timer(loop, deadline, start_expired, command, &command->timer);

    if (r >= 0)
        r = event_add_fd(loop, command->process.outcome_fd, EPOLLIN, outcome_ready, command,
                         &command->watch);
    if (r < 0)
        command_kill(command, FAILURE_INTERNAL, "cannot watch the command's process");
}

int command_start(Container *container, char *const *argv, const SpawnStdio *stdio,
                  CommandEnded ended, void *data, Command **ret, Failure *why)
{
    Pod *pod = container->pod;
    Command *command = calloc(1, sizeof(*command));
    int r;

    if (!command)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "no memory for a command");
    command->pod = pod;
    command->ended = ended;
    command->data = data;
    command->process = (SpawnedProcess){.pidfd = -1, .outcome_fd = -1, .tty_fd = -1};
    command->number = ++pod->exec_count;
    ledger_add_exec(pod->ledger, command->number);
    if (asprintf(&command->cgroup, "%s/exec-%u", container->record->cgroup, command->number) < 0) {
        command->cgroup = NULL;
        r = failure_set(why, FAILURE_INTERNAL, ENOMEM, "no memory for a command");
    } else {
        r = container_load_identity(container, why);
    }
    if (r >= 0)
        r = spawn(command, container, argv, stdio, why);
    if (r < 0) {
        command_free(command);
        return r;
    }
    pod->exec_running++;
    watch_start(command);
    *ret = command;
    return 0;
}

bool command_is_steady(const Command *command)
{
    return command->process.outcome_fd < 0 && !command->has_ended && !command->killed;
}

void command_describe(const Command *command, pid_t *ret_pid, uint32_t *ret_number,
                      const char **ret_cgroup)
{
    *ret_pid = command->process.pid;
    *ret_number = command->number;
    *ret_cgroup = command->cgroup;
}

int command_adopt(Pod *pod, pid_t pid, uint32_t number, const char *cgroup, CommandEnded ended,
                  void *data, Command **ret)
{
    Command *command = calloc(1, sizeof(*command));
    int r = 0;

    if (!command)
        return -ENOMEM;
    *command = (Command){
        .pod = pod,
        .number = number,
        .cgroup = strdup(cgroup),
        .process = {.pid = pid, .pidfd = fd_open_pid(pid), .outcome_fd = -1, .tty_fd = -1},
        .ended = ended,
        .data = data,
    };
    if (!command->cgroup)
        r = -ENOMEM;
    else if (command->process.pidfd < 0)
        r = command->process.pidfd;
    if (r >= 0)
        r = await_end(command);
    if (r < 0) {
        command_free(command);
        return r;
    }
    pod->exec_running++;
    *ret = command;
    return 0;
}

int command_take_terminal(Command *command)
{
    int fd = command->process.tty_fd;

    command->process.tty_fd = -1;
    return fd;
}

bool command_owns(const Command *command, pid_t pid)
{
    return command && !command->has_ended && command->process.pid == pid;
}
