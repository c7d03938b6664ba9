/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/stream/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "podmon/command.h"
#include "podmon/stream/attachment.h"
#include "podmon/stream/child.h"
#include "podmon/stream/remotecommand.h"
#include "podmon/stream/streams.h"
#include "podmon/userns.h"
#include "shared/cleanup.h"
#include "shared/fd.h"
#include "shared/log.h"
#include "shared/message.h"

enum { PIPE_SIZE = 256 * 1024 }; /* of a command's streams: the fewer wake-ups, the less work */

struct Session {
    Pod *pod;
    Podmon__PrepareStream *request;
    pid_t pid;
    int pidfd; /* of the process that serves the client; −1: it has ended */
    EventSource *exit;
    int control_fd; /* to it; −1: the client is gone, or knows everything */
    EventSource *control;
    Command *command;       /* of an exec, while it runs */
    Attachment *attachment; /* of an attach, while it lasts */
    bool stdin_once;
    SessionEnded ended;
    void *data;
};

static bool is_kind(const Session *session, Podmon__StreamOperation operation)
{
    return session->request->operation == operation;
}

Session *session_free(Session *session)
{
    if (!session)
        return NULL;
    attachment_free(session->attachment);
    event_free(session->exit);
    event_free(session->control);
    fd_close(&session->pidfd);
    fd_close(&session->control_fd);
    podmon__prepare_stream__free_unpacked(session->request, NULL);
    free(session);
    return NULL;
}

static void end_if_done(Session *session)
{
    if (session->pidfd < 0 && !session->command)
        session->ended(session->data, session);
}

static void tell(const Session *session, const ControlMessage *message)
{
    /* A process that does not listen is gone, which its pidfd tells. */
    if (session->control_fd >= 0)
        (void)control_send(session->control_fd, message);
}

static void tell_failure(const Session *session, const char *reason)
{
    ControlMessage message = CONTROL_MESSAGE(CONTROL_FAILED);

    (void)snprintf(message.text, sizeof(message.text), "error %s container: %.900s",
                   is_kind(session, PODMON__STREAM_OPERATION__STREAM_ATTACH)
                       ? "attaching to"
                       : "executing command in",
                   reason);
    tell(session, &message);
}

void session_quit(Session *session)
{
    tell(session, &CONTROL_MESSAGE(CONTROL_QUIT));
}

void session_close_input(Session *session, const char *container_id)
{
    if (session->attachment && strcmp(session->request->id, container_id) == 0)
        tell(session, &CONTROL_MESSAGE(CONTROL_CLOSE_INPUT));
}

bool session_owns(const Session *session, pid_t pid)
{
    return (session->pidfd >= 0 && session->pid == pid) || command_owns(session->command, pid);
}

/* ---- exec */

static void command_gone(void *data)
{
    Session *session = data;

    session->command = NULL;
    end_if_done(session);
}

static void command_ended(void *data, const ProcessEnd *end, const Failure *why)
{
    Session *session = data;
    ControlMessage message = CONTROL_MESSAGE(CONTROL_EXITED);

    message.value = end->status;
    if (why)
        tell_failure(session, why->text);
    else
        tell(session, &message);
    command_leave(session->command, command_gone, session);
}

/* Our end and the command's of its three streams. */
typedef struct Pipes {
    int ours[CONTROL_FDS], theirs[CONTROL_FDS];
} Pipes;

static void pipes_close(const Pipes *pipes)
{
    for (int i = 0; i < CONTROL_FDS; i++) {
        if (pipes->ours[i] >= 0)
            (void)close(pipes->ours[i]);
        if (pipes->theirs[i] >= 0)
            (void)close(pipes->theirs[i]);
    }
}

/* The user of the command owns its ends, so that it can open /dev/stdout again. */
static int open_pipe(Pipes *pipes, Channel channel, bool wanted, const Container *container)
{
    const Podmon__Namespaces *namespaces = container->pod->spec->namespaces;
    const Identity *identity = container->identity;
    bool is_input = channel == CHANNEL_STDIN;
    int ends[2];

    if (!wanted) {
        pipes->theirs[channel] = open("/dev/null", (is_input ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
        return pipes->theirs[channel] < 0 ? -errno : 0;
    }
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    (void)fcntl(ends[0], F_SETPIPE_SZ, PIPE_SIZE); /* Refused: it stays smaller. */
    pipes->ours[channel] = ends[is_input ? 1 : 0];
    pipes->theirs[channel] = ends[is_input ? 0 : 1];
    if (fchown(pipes->theirs[channel], userns_host_uid(namespaces, identity->uid),
               userns_host_gid(namespaces, identity->gid)) < 0)
        return -errno;
    return fd_set_nonblocking(pipes->ours[channel], true);
}

static int open_pipes(const Session *session, Container *container, Pipes *pipes, Failure *why)
{
    const Podmon__PrepareStream *request = session->request;
    int r = container_load_identity(container, why);

    if (r < 0 || request->tty)
        return r;
    r = open_pipe(pipes, CHANNEL_STDIN, request->stdin, container);
    if (r >= 0)
        r = open_pipe(pipes, CHANNEL_STDOUT, request->stdout, container);
    if (r >= 0)
        r = open_pipe(pipes, CHANNEL_STDERR, request->stderr, container);
    return r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot open the command's streams") : 0;
}

/* The terminal's master is the process's alone: when that goes, the command's terminal hangs up. */
static int take_terminal(const Session *session, Pipes *pipes)
{
    int fd = command_take_terminal(session->command);
    int r = fd_set_nonblocking(fd, true);

    pipes->ours[CHANNEL_STDIN] = fd;
    if (r < 0 || !session->request->stdout)
        return r;
    pipes->ours[CHANNEL_STDOUT] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return pipes->ours[CHANNEL_STDOUT] < 0 ? -errno : 0;
}

static int start_command(Session *session, Container *container, Pipes *pipes, Failure *why)
{
    const Podmon__PrepareStream *request = session->request;
    AUTO_FREE char **argv = calloc(request->n_argv + 1, sizeof(*argv));
    SpawnStdio stdio;
    int r;

    if (!argv)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "no memory for a command");
    memcpy(argv, request->argv, request->n_argv * sizeof(*argv));
    r = open_pipes(session, container, pipes, why);
    if (r < 0)
        return r;
    stdio = (SpawnStdio){pipes->theirs[0], pipes->theirs[1], pipes->theirs[2], -1, request->tty};
    r = command_start(container, argv, &stdio, command_ended, session, &session->command, why);
    if (r < 0)
        return r;
    if (request->tty && take_terminal(session, pipes) < 0)
        command_kill(session->command, FAILURE_INTERNAL, "cannot hand its terminal over");
    return 0;
}

static void begin_exec(Session *session, Container *container)
{
    ControlMessage message = CONTROL_MESSAGE(CONTROL_RUN);
    Pipes pipes = {{-1, -1, -1}, {-1, -1, -1}};
    Failure why = {0};

    if (start_command(session, container, &pipes, &why) < 0) {
        tell_failure(session, why.text);
    } else {
        memcpy(message.fds, pipes.ours, sizeof(message.fds));
        tell(session, &message);
    }
    pipes_close(&pipes);
}

/* ---- attach */

static void attachment_ended(void *data, const char *failure)
{
    Session *session = data;

    session->attachment = NULL;
    if (failure)
        tell_failure(session, failure);
    else
        tell(session, &CONTROL_MESSAGE(CONTROL_EXITED));
}

static void begin_attach(Session *session, Container *container)
{
    ControlMessage message = CONTROL_MESSAGE(CONTROL_RUN);
    bool has_tty = container->record->spec->tty;
    Failure why = {0};
    int r = attachment_new(container, session->request, attachment_ended, session,
                           &message.fds[CHANNEL_STDOUT], &message.fds[CHANNEL_STDERR],
                           &session->attachment, &why);

    if (r < 0) {
        tell_failure(session, why.text);
        return;
    }
    if (has_tty || session->request->stdin)
        message.fds[CHANNEL_STDIN] = container->stdin_fd;
    tell(session, &message);
    for (int i = CHANNEL_STDOUT; i <= CHANNEL_STDERR; i++)
        fd_close(&message.fds[i]);
}

/* Closed for good: every other client that has it has to let it go. */
static void close_container_input(const Session *session)
{
    Container *container = container_find(session->pod, session->request->id);

    if (!container || !is_kind(session, PODMON__STREAM_OPERATION__STREAM_ATTACH))
        return;
    fd_close(&container->stdin_fd);
    streams_close_input(session->pod, session->request->id);
}

/* ---- the process */

static void be_ready(Session *session)
{
    Container *container = container_find(session->pod, session->request->id);
    char text[80];

    if (!container || container->state != CONTAINER_STATE_RUNNING) {
        (void)snprintf(text, sizeof(text), "container is %s",
                       container ? lifecycle_container_name(container->state) : "gone");
        tell_failure(session, text);
    } else if (is_kind(session, PODMON__STREAM_OPERATION__STREAM_ATTACH)) {
        begin_attach(session, container);
    } else if (!session->command) {
        begin_exec(session, container);
    }
}

/* The client is gone, or knows everything. A command without a terminal ends with everything that
 * it has started; one with a terminal is told by the terminal. */
static void control_closed(Session *session)
{
    bool had_input = session->attachment && session->request->stdin && session->stdin_once &&
                     !session->request->tty;

    session->control = event_free(session->control);
    fd_close(&session->control_fd);
    session->attachment = attachment_free(session->attachment);
    if (had_input)
        close_container_input(session);
    if (session->command && !session->request->tty)
        command_kill(session->command, FAILURE_CANCELLED, "the client has gone away");
}

static void on_control(void *data, uint32_t events)
{
    Session *session = data;
    ControlMessage message;
    int r = control_receive(session->control_fd, &message);

    (void)events;
    if (r == -EAGAIN)
        return;
    if (r <= 0) {
        control_closed(session);
        return;
    }
    for (int i = 0; i < CONTROL_FDS; i++) /* None is expected from there. */
        fd_close(&message.fds[i]);
    if (message.kind == CONTROL_READY && !session->attachment)
        be_ready(session);
    else if (message.kind == CONTROL_INPUT_ENDED && session->stdin_once && session->request->stdin)
        close_container_input(session);
}

static void on_exit_of_process(void *data, uint32_t events)
{
    Session *session = data;
    siginfo_t end = {0};

    (void)events;
    (void)waitid(P_PIDFD, (id_t)session->pidfd, &end, WEXITED);
    if (end.si_code != CLD_EXITED)
        log_warning("the process of a stream was killed by signal %d", end.si_status);
    session->exit = event_free(session->exit);
    fd_close(&session->pidfd);
    if (session->control_fd >= 0)
        control_closed(session);
    end_if_done(session);
}

/* Both may be over already in a session that was taken over. */
static int watch(Session *session)
{
    EventLoop *loop = session->pod->loop;
    int r = 0;

    if (session->control_fd >= 0)
        r = event_add_fd(loop, session->control_fd, EPOLLIN, on_control, session,
                         &session->control);
    if (r >= 0 && session->pidfd >= 0)
        r = event_add_fd(loop, session->pidfd, EPOLLIN, on_exit_of_process, session,
                         &session->exit);
    return r;
}

static int start_process(Session *session, int client_fd, const void *bytes, size_t size,
                         Failure *why)
{
    Pod *pod = session->pod;
    const Podmon__PodName *name = pod->spec->name;
    AUTO_CLOSE int theirs = -1;
    int ends[2], r;
    StreamPlan plan = {
        .request = session->request,
        .client_fd = client_fd,
        .netns_fd = is_kind(session, PODMON__STREAM_OPERATION__STREAM_PORT_FORWARD)
                        ? pod->sandbox.netns_fd
                        : -1,
        .bytes = bytes,
        .size = size,
        .pod_name = name ? name->name : "",
        .pod_uid = name ? name->uid : "",
        .drain_ms = pod->spec->drain_timeout_ms,
        .stdin_once = session->stdin_once,
    };

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot make a socket pair");
    session->control_fd = ends[0];
    theirs = plan.control_fd = ends[1];
    r = child_start(&plan, &session->pid, &session->pidfd, why);
    if (r < 0)
        return r;
    r = watch(session);
    return r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot watch a stream") : 0;
}

int session_start(Pod *pod, Podmon__PrepareStream *request, int client_fd, const void *bytes,
                  size_t size, SessionEnded ended, void *data, Session **ret, Failure *why)
{
    const Container *container = container_find(pod, request->id);
    Session *session = calloc(1, sizeof(*session));
    int r;

    if (!session)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "no memory for a stream");
    *session = (Session){
        .pod = pod,
        .request = request,
        .pidfd = -1,
        .control_fd = -1,
        .stdin_once = container && container->record->spec->stdin_once,
        .ended = ended,
        .data = data,
    };
    r = start_process(session, client_fd, bytes, size, why);
    if (r < 0) {
        session->request = NULL; /* Stays the caller's. */
        session_free(session);
        return r;
    }
    *ret = session;
    return 0;
}

/* ---- from one program to the next */

bool session_is_steady(const Session *session)
{
    return !session->command || command_is_steady(session->command);
}

bool session_has_command(const Session *session)
{
    return session->command != NULL;
}

void session_describe(const Session *session, Podmon__CarriedSession *ret)
{
    *ret = (Podmon__CarriedSession)PODMON__CARRIED_SESSION__INIT;
    ret->request = session->request;
    ret->pid = session->pidfd >= 0 ? session->pid : 0;
    ret->control_fd = session->control_fd;
    ret->stdin_once = session->stdin_once;
    ret->output_fd = ret->error_fd = -1;
    ret->attached = session->attachment != NULL;
    if (session->attachment)
        attachment_describe(session->attachment, &ret->output_fd, &ret->error_fd);
    if (session->command) {
        const char *cgroup = NULL;
        command_describe(session->command, &ret->command_pid, &ret->command_number, &cgroup);
        ret->command_cgroup = (char *)(uintptr_t)cgroup; /* Packing only reads it. */
    }
}

static int adopt_work(Session *session, const Podmon__CarriedSession *carried)
{
    Container *container = container_find(session->pod, session->request->id);
    int output_fd = carried->output_fd, error_fd = carried->error_fd;
    int r = 0;

    if (carried->command_pid > 0)
        r = command_adopt(session->pod, carried->command_pid, carried->command_number,
                          carried->command_cgroup, command_ended, session, &session->command);
    if (carried->attached && container && container->stdio)
        return r < 0 ? r
                     : attachment_adopt(container, output_fd, error_fd, attachment_ended, session,
                                        &session->attachment);
    fd_close(&output_fd);
    fd_close(&error_fd);
    if (carried->attached)
        tell(session, &CONTROL_MESSAGE(CONTROL_EXITED)); /* There is nothing more to come. */
    return r;
}

int session_adopt(Pod *pod, const Podmon__CarriedSession *carried, SessionEnded ended, void *data,
                  Session **ret)
{
    Session *session = calloc(1, sizeof(*session));
    int r = session ? 0 : -ENOMEM;

    if (!session)
        return r;
    *session = (Session){
        .pod = pod,
        .request = (Podmon__PrepareStream *)message_copy(&carried->request->base),
        .pid = carried->pid,
        .pidfd = carried->pid > 0 ? fd_open_pid(carried->pid) : -1,
        .control_fd = carried->control_fd,
        .stdin_once = carried->stdin_once,
        .ended = ended,
        .data = data,
    };
    r = session->request ? adopt_work(session, carried) : -ENOMEM;
    if (r >= 0)
        r = watch(session);
    if (r < 0) {
        session_free(session);
        return r;
    }
    *ret = session;
    return 0;
}
