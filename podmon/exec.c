/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "podmon/process.h"
#include "podmon/teardown.h"
#include "podmon/userns.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/log.h"
#include "shared/text.h"

enum {
    READ_SIZE = 16 * 1024,
    READS_PER_EVENT = 16,
    START_SECONDS = 30,
    EMPTY_TRIES = 500, /* 2 ms each: for killed processes to be gone */
    EMPTY_MS = 2,
    TIMEOUT_MAX_MS = 24 * 24 * 3600 * 1000,
};

typedef struct Exec Exec;

/* One of the command's output streams. */
typedef struct Capture {
    Exec *exec;
    int fd;
    EventSource *source;
    Text text;
} Capture;

struct Exec {
    Pod *pod;
    Call *call;
    char *cgroup;
    uint32_t number; /* the cgroup's */
    SpawnedProcess process;
    EventSource *watch; /* outcome_fd, then the pidfd */
    EventSource *timer; /* the command's time is over; later: the drain, the empty cgroup */
    Capture captures[2];
    int64_t timeout_ms;
    bool ended;
    bool killed;
    unsigned tries;
    ProcessEnd end;
    Failure failure; /* code FAILURE_NONE: the result is the command's */
};

static void exec_free(Exec *exec)
{
    ledger_drop_exec(exec->pod->ledger, exec->number);
    event_free(exec->watch);
    event_free(exec->timer);
    for (int i = 0; i < 2; i++) {
        event_free(exec->captures[i].source);
        fd_close(&exec->captures[i].fd);
        text_done(&exec->captures[i].text);
    }
    fd_close(&exec->process.pidfd);
    fd_close(&exec->process.outcome_fd);
    fd_close(&exec->process.tty_fd);
    free(exec->cgroup);
    free(exec);
}

static void answer(Exec *exec)
{
    Podmon__ExecResult result = PODMON__EXEC_RESULT__INIT;
    Podmon__Reply reply = PODMON__REPLY__INIT;

    if (exec->failure.code != FAILURE_NONE) {
        call_answer_failure(exec->call, &exec->failure);
        return;
    }
    result.stdout.data = (uint8_t *)exec->captures[0].text.data;
    result.stdout.len = exec->captures[0].text.size;
    result.stderr.data = (uint8_t *)exec->captures[1].text.data;
    result.stderr.len = exec->captures[1].text.size;
    result.exit_code = exec->end.status;
    reply.exec = &result;
    call_answer(exec->call, &reply);
}

/* The command and its streams are through. */
static void finish(Exec *exec)
{
    Pod *pod = exec->pod;

    call_on_gone(exec->call, NULL, NULL);
    answer(exec);
    exec_free(exec);
    pod->exec_running--;
    pod_reap_orphans(pod);
    teardown_go_on(pod);
    pod_maybe_exit(pod);
}

/* Calls `function` after `delay_ms`; without memory at once. */
static void later(Exec *exec, uint64_t delay_ms, EventFunction function)
{
    uint64_t when = clock_monotonic() + delay_ms * CLOCK_MILLISECOND;

    exec->timer = event_free(exec->timer);
    if (event_add_timer(exec->pod->loop, when, function, exec, &exec->timer) < 0)
        function(exec, 0);
}

/* Whoever killed the command wants to find nothing of it afterwards. Descendants that a command
 * left behind of its own will go on, in its group, which then goes with the container's. */
static void leave_cgroup(void *data, uint32_t events)
{
    Exec *exec = data;
    int r = cgroup_remove(exec->cgroup);

    (void)events;
    if (r == -EBUSY && exec->killed && exec->tries++ < EMPTY_TRIES) {
        (void)cgroup_kill(exec->cgroup); /* What forked while it was being killed. */
        later(exec, EMPTY_MS, leave_cgroup);
        return;
    }
    if (r < 0 && r != -EBUSY)
        log_warning("cannot remove the cgroup %s: error %d", exec->cgroup, -r);
    finish(exec);
}

/* False at the end of the stream. */
static bool capture_read(Capture *capture)
{
    const Exec *exec = capture->exec;
    char data[READ_SIZE];

    for (int i = 0; i < READS_PER_EVENT; i++) {
        size_t used = exec->captures[0].text.size + exec->captures[1].text.size;
        ssize_t size = read(capture->fd, data, sizeof(data));

        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0 && errno == EAGAIN)
            return true;
        if (size <= 0)
            return false;
        if ((size_t)size > EXEC_OUTPUT_MAX - used)
            size = (ssize_t)(EXEC_OUTPUT_MAX - used);
        /* Without memory it ends early, as at the limit. */
        (void)text_append(&capture->text, data, (size_t)size);
    }
    return true;
}

static void capture_close(Capture *capture)
{
    capture->source = event_free(capture->source);
    fd_close(&capture->fd);
}

static void drained(void *data, uint32_t events)
{
    Exec *exec = data;

    (void)events;
    exec->timer = event_free(exec->timer);
    for (int i = 0; i < 2; i++) {
        if (exec->captures[i].fd >= 0)
            (void)capture_read(&exec->captures[i]); /* Ended or not, it is closed. */
        capture_close(&exec->captures[i]);
    }
    leave_cgroup(exec, 0);
}

static bool streams_have_ended(const Exec *exec)
{
    return exec->captures[0].fd < 0 && exec->captures[1].fd < 0;
}

static void capture_ready(void *data, uint32_t events)
{
    Capture *capture = data;

    (void)events;
    if (capture_read(capture))
        return;
    capture_close(capture);
    if (capture->exec->ended && streams_have_ended(capture->exec))
        drained(capture->exec, 0);
}

static void process_ended(void *data, uint32_t events)
{
    Exec *exec = data;

    (void)events;
    exec->watch = event_free(exec->watch);
    if (process_read_end(exec->process.pidfd, &exec->end) < 0 || !exec->end.known)
        exec->end.status = 255; /* Not reached for a child of ours whose pidfd is readable. */
    exec->ended = true;
    exec->timer = event_free(exec->timer);
    for (int i = 0; i < 2; i++)
        if (exec->captures[i].fd >= 0 && !capture_read(&exec->captures[i]))
            capture_close(&exec->captures[i]);
    if (exec->killed || streams_have_ended(exec))
        drained(exec, 0);
    else
        later(exec, exec->pod->spec->drain_timeout_ms, drained);
}

static void kill_tree(Exec *exec, FailureCode code, const char *sentence)
{
    if (exec->ended || exec->killed)
        return;
    exec->killed = true;
    if (exec->failure.code == FAILURE_NONE)
        (void)failure_say(&exec->failure, code, "%s", sentence);
    exec->timer = event_free(exec->timer);
    fd_close(&exec->process.outcome_fd);
    exec->watch = event_free(exec->watch);
    (void)cgroup_kill(exec->cgroup); /* leave_cgroup tries again. */
    (void)fd_signal(exec->process.pidfd, SIGKILL);
    if (event_add_fd(exec->pod->loop, exec->process.pidfd, EPOLLIN, process_ended, exec,
                     &exec->watch) < 0)
        log_error("no memory to await the end of process %d", (int)exec->process.pid);
}

static void expired(void *data, uint32_t events)
{
    Exec *exec = data;
    char sentence[80];

    (void)events;
    if (exec->timeout_ms > 0)
        (void)snprintf(sentence, sizeof(sentence),
                       "the command did not end within its timeout of %lld ms",
                       (long long)exec->timeout_ms);
    else
        (void)snprintf(sentence, sizeof(sentence), "the command did not start within %d s",
                       START_SECONDS);
    kill_tree(exec, FAILURE_DEADLINE_EXCEEDED, sentence);
}

static void client_gone(void *data)
{
    kill_tree(data, FAILURE_CANCELLED, "the client has gone away");
}

static void outcome_ready(void *data, uint32_t events)
{
    Exec *exec = data;
    int r = spawn_read_outcome(&exec->process, &exec->failure);

    (void)events;
    if (r == 0)
        return;
    exec->watch = event_free(exec->watch);
    fd_close(&exec->process.outcome_fd);
    if (r >= 0)
        r = event_add_fd(exec->pod->loop, exec->process.pidfd, EPOLLIN, process_ended, exec,
                         &exec->watch);
    if (r < 0)
        kill_tree(exec, FAILURE_INTERNAL, "cannot watch the command's process");
    else if (exec->timeout_ms == 0)
        exec->timer = event_free(exec->timer);
}

/* A pipe; the user of the command owns it, so that it can open /dev/stdout again. */
static int open_capture(Capture *capture, const Identity *identity, int *ret_theirs)
{
    const Podmon__Namespaces *namespaces = capture->exec->pod->spec->namespaces;
    int ends[2], r;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    capture->fd = ends[0];
    *ret_theirs = ends[1];
    if (fchown(ends[1], userns_host_uid(namespaces, identity->uid),
               userns_host_gid(namespaces, identity->gid)) < 0)
        return -errno;
    r = fd_set_nonblocking(capture->fd, true);
    return r < 0 ? r
                 : event_add_fd(capture->exec->pod->loop, capture->fd, EPOLLIN, capture_ready,
                                capture, &capture->source);
}

static int spawn(Exec *exec, const Container *container, char *const *argv, const SpawnStdio *stdio,
                 Failure *why)
{
    const Pod *pod = container->pod;
    SpawnExec command = {argv, container->process.pidfd, container->process.pid, false};
    SpawnPlan *plan = NULL;
    CgroupEntry entry;
    SpawnContext context = {pod->spec, &pod->sandbox, pod->run_path, -1, &entry, exec->cgroup};
    int r = cgroup_create(exec->cgroup, NULL, why);

    if (r < 0)
        return r;
    r = cgroup_entry_open(exec->cgroup, &entry, why);
    if (r >= 0) {
        r = spawn_plan_exec(&context, container->record->spec, container->identity, &command, stdio,
                            &plan, why);
        if (r >= 0)
            r = spawn_start(plan, &exec->process, why);
        spawn_plan_free(plan);
        cgroup_entry_done(&entry);
    }
    if (r < 0)
        (void)cgroup_remove(exec->cgroup); /* Goes with the container's, at the latest. */
    return r;
}

static int begin(Exec *exec, Container *container, char *const *argv, Failure *why)
{
    AUTO_CLOSE int in = -1, out = -1, err = -1;
    uint64_t timeout = exec->timeout_ms > 0 ? (uint64_t)exec->timeout_ms * CLOCK_MILLISECOND
                                            : START_SECONDS * CLOCK_SECOND;
    int r = container_load_identity(container, why);

    if (r < 0)
        return r;
    in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    r = in < 0 ? -errno : open_capture(&exec->captures[0], container->identity, &out);
    if (r >= 0)
        r = open_capture(&exec->captures[1], container->identity, &err);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot open the command's streams");
    r = spawn(exec, container, argv, &(SpawnStdio){in, out, err, -1, false}, why);
    if (r < 0)
        return r;
    exec->pod->exec_running++;
    call_on_gone(exec->call, client_gone, exec);
    r = event_add_timer(exec->pod->loop, clock_monotonic() + timeout, expired, exec, &exec->timer);
    if (r >= 0)
        r = event_add_fd(exec->pod->loop, exec->process.outcome_fd, EPOLLIN, outcome_ready, exec,
                         &exec->watch);
    if (r < 0)
        kill_tree(exec, FAILURE_INTERNAL, "cannot watch the command's process");
    return 0;
}

/* A NULL-terminated copy of the list; the strings stay the request's. */
static char **copy_argv(const Podmon__ExecSync *request)
{
    char **argv = calloc(request->n_argv + 1, sizeof(*argv));

    if (argv)
        memcpy(argv, request->argv, request->n_argv * sizeof(*argv));
    return argv;
}

static Exec *exec_new(Container *container, const Podmon__ExecSync *request, Call *call)
{
    Pod *pod = container->pod;
    Exec *exec = calloc(1, sizeof(*exec));

    if (!exec)
        return NULL;
    exec->pod = pod;
    exec->call = call;
    exec->timeout_ms = request->timeout_ms < TIMEOUT_MAX_MS ? request->timeout_ms : TIMEOUT_MAX_MS;
    exec->process = (SpawnedProcess){.pidfd = -1, .outcome_fd = -1, .tty_fd = -1};
    for (int i = 0; i < 2; i++)
        exec->captures[i] = (Capture){.exec = exec, .fd = -1};
    exec->number = ++pod->exec_count;
    ledger_add_exec(pod->ledger, exec->number);
    if (asprintf(&exec->cgroup, "%s/exec-%u", container->record->cgroup, exec->number) < 0) {
        exec->cgroup = NULL;
        exec_free(exec);
        return NULL;
    }
    return exec;
}

void exec_start(Container *container, const Podmon__ExecSync *request, Call *call)
{
    AUTO_FREE char **argv = NULL;
    Failure why = {0};
    Exec *exec;

    if (request->n_argv == 0 || request->timeout_ms < 0) {
        (void)failure_say(&why, FAILURE_INVALID_ARGUMENT,
                          request->n_argv == 0 ? "cmd is empty" : "timeout is negative");
        call_answer_failure(call, &why);
        return;
    }
    argv = copy_argv(request);
    exec = argv ? exec_new(container, request, call) : NULL;
    if (!exec) {
        (void)failure_set(&why, FAILURE_INTERNAL, ENOMEM, "no memory for a command");
        call_answer_failure(call, &why);
        return;
    }
    if (begin(exec, container, argv, &why) < 0) {
        exec_free(exec);
        call_answer_failure(call, &why);
    }
}
