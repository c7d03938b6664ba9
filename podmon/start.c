/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/start.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "podmon/device_filter.h"
#include "podmon/ending.h"
#include "podmon/labels.h"
#include "podmon/publish.h"
#include "podmon/relabel.h"
#include "podmon/terminal.h"
#include "podmon/userns.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/faultpoint.h"
#include "shared/fd.h"
#include "shared/log.h"

enum { START_SECONDS = 30 };

/* The container's ends of its streams. */
typedef struct Ends {
    int in, out, err;
} Ends;

static void ends_close(Ends *ends)
{
    fd_close(&ends->in);
    fd_close(&ends->out);
    fd_close(&ends->err);
}

char *start_make_leaf_path(const Container *container)
{
    char *path;

    return asprintf(&path, "%s%s", container->record->cgroup,
                    container->pod->layout == CGROUP_LAYOUT_V2 ? "/main" : "") < 0
               ? NULL
               : path;
}

/* To the container's user, whoever that is on the host; SELinux closes what has no label of the
 * container's. */
static int give(const Container *container, int fd)
{
    const Podmon__PodSpec *pod = container->pod->spec;
    const Podmon__Namespaces *namespaces = pod->namespaces;
    Labels labels;

    if (labels_of(pod, container->record->spec->security, &labels, NULL) < 0 ||
        relabel_file(fd, labels.file) < 0)
        return -1;
    return fchown(fd, userns_host_uid(namespaces, container->identity->uid),
                  userns_host_gid(namespaces, container->identity->gid));
}

/* Makes a FIFO that the container's user owns, so that the program can open /dev/stdout again, and
 * opens both ends. The container's is read-write: the death of a podmon is no SIGPIPE, and what is
 * written meanwhile waits for the next. */
static int open_output(const Container *container, const char *name, int *ret_ours, int *ret_theirs)
{
    AUTO_CLOSE int ours = -1, theirs = -1;

    if (mkfifoat(container->dir_fd, name, 0600) < 0 && errno != EEXIST)
        return -errno;
    ours = openat(container->dir_fd, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (ours < 0)
        return -errno;
    theirs = openat(container->dir_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (theirs < 0 || give(container, theirs) < 0)
        return -errno;
    *ret_ours = take_fd(&ours);
    *ret_theirs = take_fd(&theirs);
    return 0;
}

static int open_input(Container *container, int *ret_theirs)
{
    AUTO_CLOSE int ours = -1, theirs = -1;
    int r;

    if (!container->record->spec->stdin) {
        theirs = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (theirs < 0)
            return -errno;
        *ret_theirs = take_fd(&theirs);
        return 0;
    }
    if (mkfifoat(container->dir_fd, "stdin", 0600) < 0 && errno != EEXIST)
        return -errno;
    /* Without O_NONBLOCK each end would wait for the other to be opened. */
    theirs = openat(container->dir_fd, "stdin", O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (theirs < 0)
        return -errno;
    ours = openat(container->dir_fd, "stdin", O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (ours < 0 || give(container, theirs) < 0)
        return -errno;
    r = fd_set_nonblocking(theirs, false);
    if (r < 0)
        return r;
    container->stdin_fd = take_fd(&ours);
    *ret_theirs = take_fd(&theirs);
    return 0;
}

static int add_output(Container *container, StdioStream stream, const char *name, int *ret_theirs)
{
    int ours = -1, theirs = -1;
    int r = open_output(container, name, &ours, &theirs);

    if (r < 0)
        return r;
    *ret_theirs = theirs;
    return stdio_add(container->stdio, stream, ours);
}

static int open_stdio(Container *container, Ends *ends, Failure *why)
{
    const Podmon__ContainerSpec *spec = container->record->spec;
    const char *directory = container->pod->spec->log_directory;
    LogFile log = LOG_FILE_NONE;
    int r = 0;

    if (*container->record->log_path)
        r = logfile_open(&log, directory, spec->log_path, why);
    if (r < 0)
        return r;
    r = stdio_new(container->pod->loop, &log, container->dir_fd, false, &container->stdio);
    if (r < 0)
        logfile_close(&log);
    if (r >= 0 && !spec->tty) {
        r = open_input(container, &ends->in);
        if (r >= 0)
            r = add_output(container, STDIO_OUT, "stdout", &ends->out);
        if (r >= 0)
            r = add_output(container, STDIO_ERROR, "stderr", &ends->err);
    }
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot open the container's streams");
    return 0;
}

/* The pid namespace of another container of the pod, if it was asked for: fd, or −1 in *ret_fd. */
static int open_target_pidns(const Container *container, int *ret_fd, Failure *why)
{
    const Podmon__Namespaces *namespaces = container->record->spec->namespaces;
    const Container *target;
    char path[40];

    if (!namespaces || namespaces->pid != PODMON__NAMESPACE_MODE__NAMESPACE_TARGET)
        return 0;
    target = container_find(container->pod, namespaces->target_id);
    if (!target || target->state != CONTAINER_STATE_RUNNING)
        return failure_say(why, FAILURE_FAILED_PRECONDITION,
                           "target_id \"%s\" is not a running container of this pod",
                           namespaces->target_id);
    (void)snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)target->process.pid);
    *ret_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*ret_fd < 0)
        return failure_set(why, FAILURE_INTERNAL, errno,
                           "cannot open the pid namespace of container %s", namespaces->target_id);
    return 0;
}

/* Makes the cgroup and clones the process into it. */
static int spawn(Container *container, const Ends *ends, Failure *why)
{
    const Podmon__ContainerSpec *spec = container->record->spec;
    Pod *pod = container->pod;
    AUTO_FREE char *leaf = start_make_leaf_path(container);
    AUTO_CLOSE int target_fd = -1;
    const Podmon__Resources no_limits = PODMON__RESOURCES__INIT;
    SpawnStdio stdio = {ends->in, ends->out, ends->err, -1, spec->tty};
    SpawnPlan *plan = NULL;
    CgroupEntry entry;
    SpawnContext context = {
        .pod = pod->spec,
        .sandbox = &pod->sandbox,
        .run_path = pod->run_path,
        .cgroup = &entry,
        .cgroup_path = container->record->cgroup,
    };
    int r;

    if (!leaf)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "no memory for a path");
    r = open_target_pidns(container, &target_fd, why);
    /* Without limits as with them: the controllers also count. */
    if (r >= 0)
        r = cgroup_create(container->record->cgroup, spec->resources ? spec->resources : &no_limits,
                          why);
    if (r >= 0)
        r = device_filter_apply(spec, container->record->cgroup, why);
    if (r >= 0 && strcmp(leaf, container->record->cgroup) != 0)
        r = cgroup_create(leaf, NULL, why);
    if (r >= 0)
        r = cgroup_entry_open(leaf, &entry, why);
    if (r < 0)
        return r;
    context.target_pidns_fd = target_fd;
    r = spawn_plan_container(&context, spec, container->identity, container->root_fd, &stdio, &plan,
                             why);
    if (r >= 0)
        r = spawn_start(plan, &container->process, why);
    spawn_plan_free(plan);
    cgroup_entry_done(&entry);
    return r;
}

static void process_ended(void *data, uint32_t events)
{
    Container *container = data;

    (void)events;
    container->watch = event_free(container->watch);
    ending_begin(container);
}

/* The start has failed and there is a process: killed if need be, it is awaited like any other. */
static void fail(Container *container, const Failure *why)
{
    container->failure = *why;
    container->timer = event_free(container->timer);
    container->watch = event_free(container->watch);
    fd_close(&container->process.outcome_fd);
    container_kill(container);
    if (event_add_fd(container->pod->loop, container->process.pidfd, EPOLLIN, process_ended,
                     container, &container->watch) < 0)
        log_error("no memory to await the end of process %d", (int)container->process.pid);
}

static void expired(void *data, uint32_t events)
{
    Failure why = {0};

    (void)events;
    (void)failure_say(&why, FAILURE_DEADLINE_EXCEEDED, "the program did not start within %d s",
                      START_SECONDS);
    fail(data, &why);
}

/* The program runs: the record says so before the client hears of it. */
static int record_start(Container *container, Failure *why)
{
    uint64_t start_time;
    int r = process_read_start(container->process.pid, &start_time);

    if (r >= 0)
        r = record_set_process(&container->record->process, container->process.pid, start_time);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot record process %d",
                           (int)container->process.pid);
    container->record->started_at = clock_real();
    return 0;
}

/* Takes the master over: one descriptor to read from, another to write to. */
static int use_terminal(Container *container, int master, Failure *why)
{
    int input;
    int r = fd_set_nonblocking(master, true);

    input = r < 0 ? r : fcntl(master, F_DUPFD_CLOEXEC, 0);
    if (input >= 0)
        container->stdin_fd = input;
    r = stdio_add(container->stdio, STDIO_OUT, master);
    if (input < 0 || r < 0)
        return failure_set(why, FAILURE_INTERNAL, input < 0 ? -input : -r,
                           "cannot open the container's terminal");
    return 0;
}

static int open_terminal(Container *container, Failure *why)
{
    SpawnedProcess *process = &container->process;

    if (process->tty_fd < 0)
        return 0;
    if (terminal_keep(process->tty_fd, process->pidfd, container->record, why) < 0) {
        log_warning("%s: it ends with this podmon", why->text);
        *why = (Failure){0};
    }
    return use_terminal(container, take_fd(&process->tty_fd), why);
}

static void outcome_ready(void *data, uint32_t events)
{
    Container *container = data;
    Failure why = {0};
    int r = spawn_read_outcome(&container->process, &why);

    (void)events;
    if (r == 0)
        return;
    if (r > 0)
        r = record_start(container, &why);
    if (r >= 0)
        r = open_terminal(container, &why);
    container->watch = event_free(container->watch);
    if (r >= 0)
        r = event_add_fd(container->pod->loop, container->process.pidfd, EPOLLIN, process_ended,
                         container, &container->watch);
    if (r >= 0 && container_advance(container, CONTAINER_EVENT_STARTED)) {
        r = pod_publish(container->pod, &why);
        if (r < 0)
            container->state = CONTAINER_STATE_STARTING; /* Nobody has seen it run. */
    }
    if (r < 0) {
        if (why.code == FAILURE_NONE)
            (void)failure_set(&why, FAILURE_INTERNAL, -r, "cannot watch the container's process");
        fail(container, &why);
        return;
    }
    container->timer = event_free(container->timer);
    fd_close(&container->process.outcome_fd);
    fd_close(&container->root_fd);
    call_list_answer(&container->start_calls, NULL);
    if (container->stop_requested)
        container_stop_now(container);
}

static int begin(Container *container, Failure *why)
{
    Ends ends = {-1, -1, -1};
    int r = container_load_root(container, why);

    if (r >= 0)
        r = container_load_identity(container, why);
    if (r >= 0)
        r = open_stdio(container, &ends, why);
    if (r >= 0)
        r = spawn(container, &ends, why);
    (void)FAULTPOINT("container-cloned");
    ends_close(&ends);
    return r;
}

void start_container(Container *container, Call *call)
{
    EventLoop *loop = container->pod->loop;
    Failure why = {0};
    int r;

    (void)container_advance(container, CONTAINER_EVENT_START);
    call_list_add(&container->start_calls, call);
    r = begin(container, &why);
    if (r < 0) {
        container->failure = why;
        ending_without_process(container);
        return;
    }
    r = event_add_timer(loop, clock_monotonic() + START_SECONDS * CLOCK_SECOND, expired, container,
                        &container->timer);
    if (r >= 0)
        r = event_add_fd(loop, container->process.outcome_fd, EPOLLIN, outcome_ready, container,
                         &container->watch);
    if (r < 0) {
        (void)failure_set(&why, FAILURE_INTERNAL, -r, "cannot watch the container's start");
        fail(container, &why);
    }
}

/* The reading ends alone: the container has its own. A terminal comes back from its keeper. */
static int reopen_stdio(Container *container, Failure *why)
{
    static const char *const names[] = {[STDIO_OUT] = "stdout", [STDIO_ERROR] = "stderr"};
    const Podmon__ContainerSpec *spec = container->record->spec;
    LogFile log = LOG_FILE_NONE;
    int r;

    if (*container->record->log_path &&
        logfile_open(&log, container->pod->spec->log_directory, spec->log_path, why) < 0)
        log_warning("%s: its output is lost until the log is opened again", why->text);
    r = stdio_new(container->pod->loop, &log, container->dir_fd, true, &container->stdio);
    if (r < 0) {
        logfile_close(&log);
        return failure_set(why, FAILURE_INTERNAL, -r, "no memory for streams");
    }
    if (spec->tty) {
        int master = terminal_find(container->record);
        if (master >= 0)
            return use_terminal(container, master, why);
        log_warning("the terminal of container %s is lost: error %d", spec->id, -master);
        return 0;
    }
    for (int i = 0; i < STDIO_STREAMS; i++) {
        int fd =
            openat(container->dir_fd, names[i], O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
        r = fd < 0 ? -errno : stdio_add(container->stdio, (StdioStream)i, fd);
        if (r < 0)
            return failure_set(why, FAILURE_INTERNAL, -r, "cannot open %s of container %s",
                               names[i], spec->id);
    }
    if (spec->stdin)
        container->stdin_fd =
            openat(container->dir_fd, "stdin", O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    return 0;
}

int start_resume(Container *container, Failure *why)
{
    int r = reopen_stdio(container, why);

    if (r < 0 || container->process.pidfd < 0)
        return r;
    r = event_add_fd(container->pod->loop, container->process.pidfd, EPOLLIN, process_ended,
                     container, &container->watch);
    return r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot watch process %d",
                               (int)container->process.pid)
                 : 0;
}
