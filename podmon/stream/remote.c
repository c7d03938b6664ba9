/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/stream/remote.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "podmon/stream/control.h"
#include "podmon/stream/link.h"
#include "podmon/stream/queue.h"
#include "podmon/stream/transport.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/text.h"

enum {
    READS_PER_EVENT = 8,
    READS_AT_THE_END = 64,
    INPUT_MAX = 128 * 1024, /* waiting for the program to read; then the client waits */
};

typedef struct Remote Remote;

typedef struct Output {
    Remote *remote;
    Channel channel;
    int fd;              /* −1: ended */
    EventSource *source; /* NULL while the client does not take more: a hang-up cannot be masked */
} Output;

/* Where a session is in its life. The process may end, and the client go, in any of them. */
typedef enum RemoteState {
    REMOTE_OPENING,  /* streams, then podmon's descriptors are awaited */
    REMOTE_RUNNING,  /* bytes both ways */
    REMOTE_ENDED,    /* how is known; output is drained */
    REMOTE_FINISHED, /* everything is said, or the client is gone */
} RemoteState;

struct Remote {
    EventLoop *loop;
    const StreamPlan *plan;
    const Podmon__PrepareStream *request;
    int version;
    RemoteState state;
    Transport *transport;
    int control_fd;
    EventSource *control;
    Output outputs[2];

    int input_fd;       /* −1: nobody reads */
    EventSource *input; /* while it takes no more */
    ByteQueue waiting;
    bool input_ended;
    ResizeReader resizes;
    TerminalSize size; /* the last, to be set as soon as there is a terminal */

    ControlMessage end; /* EXITED or FAILED */
    EventSource *timer; /* ENDED: looks how draining goes */
    uint64_t progress;  /* when the client last took something */
};

static bool is_attach(const Remote *remote)
{
    return remote->request->operation == PODMON__STREAM_OPERATION__STREAM_ATTACH;
}

static void close_output(Output *output)
{
    output->source = event_free(output->source);
    fd_close(&output->fd);
}

static void close_input(Remote *remote)
{
    remote->input = event_free(remote->input);
    byte_queue_done(&remote->waiting);
    fd_close(&remote->input_fd);
    transport_pause(remote->transport, false);
}

/* Lets go of what runs: for podmon the end of the control socket is the end of the session. */
static void let_go(Remote *remote)
{
    remote->state = REMOTE_FINISHED;
    for (int i = 0; i < 2; i++)
        close_output(&remote->outputs[i]);
    close_input(remote);
    remote->timer = event_free(remote->timer);
    remote->control = event_free(remote->control);
    fd_close(&remote->control_fd);
}

static void finish(Remote *remote)
{
    CLEANUP(text_done) Text status = {0};
    int r;

    if (remote->end.kind == CONTROL_FAILED)
        r = status_failure(remote->version, remote->end.text, &status);
    else if (is_attach(remote))
        r = status_success(remote->version, &status);
    else
        r = status_exit(remote->version, remote->request->argv, remote->request->n_argv,
                        remote->end.value, &status);
    let_go(remote);
    if (r < 0)
        transport_abort(remote->transport);
    else
        transport_finish(remote->transport, &status);
}

static void abandon(Remote *remote)
{
    if (remote->state == REMOTE_FINISHED)
        return;
    let_go(remote);
    transport_abort(remote->transport);
}

static bool has_output(const Remote *remote)
{
    return remote->outputs[0].fd >= 0 || remote->outputs[1].fd >= 0;
}

static void finish_if_done(Remote *remote)
{
    if (remote->state == REMOTE_ENDED && !has_output(remote))
        finish(remote);
}

/* ---- output */

/* Passes on what can be read and what the client takes. False: the stream has ended. */
static bool pass_on(Output *output, int reads)
{
    Remote *remote = output->remote;

    while (reads-- > 0 && transport_has_room(remote->transport)) {
        ssize_t size = transport_pass(remote->transport, output->channel, output->fd);

        if (size == -EINTR)
            continue;
        if (size == -EAGAIN)
            return true;
        if (size <= 0)
            return false; /* EIO: nobody has the terminal's other side any more. */
        remote->progress = clock_monotonic();
    }
    return true;
}

static void on_output(void *data, uint32_t events)
{
    Output *output = data;
    Remote *remote = output->remote;

    (void)events;
    if (!pass_on(output, READS_PER_EVENT))
        close_output(output);
    else if (!transport_has_room(remote->transport))
        output->source = event_free(output->source);
    finish_if_done(remote);
}

static void watch_output(Output *output)
{
    if (output->fd >= 0 && !output->source &&
        event_add_fd(output->remote->loop, output->fd, EPOLLIN, on_output, output,
                     &output->source) < 0)
        abandon(output->remote);
}

static void on_room(void *data)
{
    Remote *remote = data;

    remote->progress = clock_monotonic();
    for (int i = 0; i < 2; i++)
        watch_output(&remote->outputs[i]);
}

/* ---- the end */

/* Descendants may keep the output open for ever: what is there is read, then it is closed. A client
 * that does not take it has its time too. */
static void on_drain_time(void *data, uint32_t events)
{
    Remote *remote = data;
    uint64_t now = clock_monotonic();

    (void)events;
    for (int i = 0; i < 2; i++)
        if (remote->outputs[i].fd >= 0 && (!pass_on(&remote->outputs[i], READS_AT_THE_END) ||
                                           transport_has_room(remote->transport)))
            close_output(&remote->outputs[i]);
    if (has_output(remote) && now - remote->progress > LINK_END_SECONDS * CLOCK_SECOND) {
        abandon(remote);
        return;
    }
    if (has_output(remote))
        (void)event_set_timer(remote->timer,
                              now + remote->plan->drain_ms * CLOCK_MILLISECOND + CLOCK_SECOND);
    finish_if_done(remote);
}

static void be_ended(Remote *remote, const ControlMessage *end, uint64_t deadline)
{
    if (remote->state >= REMOTE_ENDED)
        return;
    remote->state = REMOTE_ENDED;
    remote->end = *end;
    remote->progress = clock_monotonic();
    close_input(remote);
    if (event_add_timer(remote->loop, deadline, on_drain_time, remote, &remote->timer) < 0)
        abandon(remote);
    else
        finish_if_done(remote);
}

static void end_of_process(Remote *remote, const ControlMessage *end)
{
    be_ended(remote, end, clock_monotonic() + remote->plan->drain_ms * CLOCK_MILLISECOND);
}

/* podmon is gone: what runs goes on, but nobody will say how it ends. */
static void end_of_podmon(Remote *remote)
{
    ControlMessage end = CONTROL_MESSAGE(CONTROL_FAILED);

    (void)strcpy(end.text, "the exit status is lost: podmon has been restarted meanwhile");
    be_ended(remote, &end, UINT64_MAX);
}

/* ---- input */

/* The client's stdin has ended and all of it has been passed on. */
static void end_input(Remote *remote)
{
    ControlMessage message = CONTROL_MESSAGE(CONTROL_INPUT_ENDED);

    if (!is_attach(remote)) {
        if (!remote->request->tty)
            close_input(remote);
    } else if (remote->plan->stdin_once && !remote->request->tty) {
        close_input(remote);
        (void)control_send(remote->control_fd,
                           &message); /* Fails when podmon is gone: seen there. */
    } else {
        remote->end = CONTROL_MESSAGE(CONTROL_EXITED);
        finish(remote);
    }
}

static void on_input_room(void *data, uint32_t events);

/* What waits, and these behind it. */
static void pass_in(Remote *remote, const void *bytes, size_t size)
{
    int r = remote->input_fd < 0 ? -EPIPE
                                 : byte_queue_pass(&remote->waiting, remote->input_fd, bytes, size);

    if (r == 1 && !remote->input &&
        event_add_fd(remote->loop, remote->input_fd, EPOLLOUT, on_input_room, remote,
                     &remote->input) < 0)
        r = -ENOMEM;
    if (r < 0)
        byte_queue_done(&remote->waiting); /* Nobody reads it: what else comes goes the same way. */
    if (r != 1)
        remote->input = event_free(remote->input);
    transport_pause(remote->transport, byte_queue_size(&remote->waiting) >= INPUT_MAX);
    if (r != 1 && remote->input_ended)
        end_input(remote);
}

static void on_input_room(void *data, uint32_t events)
{
    (void)events;
    pass_in(data, NULL, 0);
}

static void set_size(const Remote *remote)
{
    struct winsize size = {.ws_col = remote->size.width, .ws_row = remote->size.height};

    if (remote->input_fd >= 0 && size.ws_col > 0)
        (void)ioctl(remote->input_fd, TIOCSWINSZ, &size); /* Fails when the terminal is gone. */
}

static void on_bytes(void *data, Channel channel, const uint8_t *bytes, size_t size)
{
    Remote *remote = data;

    if (channel == CHANNEL_RESIZE && resize_read(&remote->resizes, bytes, size, &remote->size))
        set_size(remote);
    if (channel != CHANNEL_STDIN || remote->state >= REMOTE_ENDED || remote->input_ended)
        return;
    if (remote->state == REMOTE_RUNNING)
        pass_in(remote, bytes, size);
    else if (byte_queue_add(&remote->waiting, bytes, size) < 0)
        abandon(remote);
    else
        transport_pause(remote->transport, byte_queue_size(&remote->waiting) >= INPUT_MAX);
}

static void on_end(void *data, Channel channel)
{
    Remote *remote = data;

    if (channel != CHANNEL_STDIN || remote->state >= REMOTE_ENDED)
        return;
    remote->input_ended = true;
    if (remote->state == REMOTE_RUNNING && byte_queue_size(&remote->waiting) == 0)
        end_input(remote);
}

/* ---- podmon */

static void run(Remote *remote, const ControlMessage *message)
{
    remote->state = REMOTE_RUNNING;
    remote->input_fd = message->fds[CHANNEL_STDIN];
    for (int i = 0; i < 2; i++) {
        remote->outputs[i].fd = message->fds[CHANNEL_STDOUT + i];
        watch_output(&remote->outputs[i]);
    }
    set_size(remote);
    if (remote->state == REMOTE_RUNNING && remote->request->stdin)
        pass_in(remote, NULL, 0);
}

static void on_control(void *data, uint32_t events)
{
    Remote *remote = data;
    ControlMessage message;
    int r = control_receive(remote->control_fd, &message);

    (void)events;
    if (r == -EAGAIN)
        return;
    if (r <= 0) {
        remote->control = event_free(remote->control);
        end_of_podmon(remote);
    } else if (message.kind == CONTROL_RUN && remote->state == REMOTE_OPENING) {
        run(remote, &message);
    } else if (message.kind == CONTROL_CLOSE_INPUT) {
        close_input(remote);
    } else if (message.kind == CONTROL_EXITED || message.kind == CONTROL_FAILED) {
        end_of_process(remote, &message);
    }
}

/* ---- the client */

static void on_ready(void *data)
{
    Remote *remote = data;
    ControlMessage message = CONTROL_MESSAGE(CONTROL_READY);

    (void)control_send(remote->control_fd, &message); /* Fails when podmon is gone: seen there. */
}

static void on_gone(void *data)
{
    abandon(data);
}

static void on_closed(void *data)
{
    const Remote *remote = data;

    event_loop_exit(remote->loop, 0);
}

static unsigned wanted_channels(const Podmon__PrepareStream *request)
{
    return 1U << CHANNEL_ERROR | (request->stdin ? 1U << CHANNEL_STDIN : 0) |
           (request->stdout ? 1U << CHANNEL_STDOUT : 0) |
           (request->stderr ? 1U << CHANNEL_STDERR : 0) | (request->tty ? 1U << CHANNEL_RESIZE : 0);
}

int remote_serve(EventLoop *loop, const StreamPlan *plan, const Handshake *handshake,
                 const void *rest, size_t size)
{
    static const TransportEvents events = {on_ready, on_bytes, on_end, on_room, on_gone, on_closed};
    Remote remote = {
        .loop = loop,
        .plan = plan,
        .request = plan->request,
        .version = handshake->protocol->version,
        .control_fd = plan->control_fd,
        .input_fd = -1,
    };
    int r;

    for (int i = 0; i < 2; i++)
        remote.outputs[i] = (Output){&remote, (Channel)(CHANNEL_STDOUT + i), -1, NULL};
    r = transport_new(loop, plan->client_fd, handshake, wanted_channels(plan->request), &events,
                      &remote, &remote.transport);
    if (r >= 0)
        r = event_add_fd(loop, remote.control_fd, EPOLLIN, on_control, &remote, &remote.control);
    if (r < 0)
        return r;
    transport_begin(remote.transport, rest, size);
    r = event_loop_run(loop);
    remote.transport = transport_free(remote.transport);
    return r;
}
