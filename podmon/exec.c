/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "podmon/command.h"
#include "podmon/userns.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/text.h"

enum {
    READ_SIZE = 16 * 1024,
    READS_PER_EVENT = 16,
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
    Command *command;
    EventSource *timer; /* the command's time is over; later: the drain */
    Capture captures[2];
    int64_t timeout_ms;
    bool ended;
    ProcessEnd end;
    Failure failure; /* code FAILURE_NONE: the result is the command's */
};

static void exec_free(Exec *exec)
{
    event_free(exec->timer);
    for (int i = 0; i < 2; i++) {
        event_free(exec->captures[i].source);
        fd_close(&exec->captures[i].fd);
        text_done(&exec->captures[i].text);
    }
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
static void finish(void *data)
{
    Exec *exec = data;

    call_on_gone(exec->call, NULL, NULL);
    answer(exec);
    exec_free(exec);
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
    command_leave(exec->command, finish, exec);
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

static void command_ended(void *data, const ProcessEnd *end, const Failure *why)
{
    Exec *exec = data;
    uint64_t drain = exec->pod->spec->drain_timeout_ms * CLOCK_MILLISECOND;

    exec->end = *end;
    exec->ended = true;
    if (why)
        exec->failure = *why;
    exec->timer = event_free(exec->timer);
    for (int i = 0; i < 2; i++)
        if (exec->captures[i].fd >= 0 && !capture_read(&exec->captures[i]))
            capture_close(&exec->captures[i]);
    if (why || streams_have_ended(exec) ||
        event_add_timer(exec->pod->loop, clock_monotonic() + drain, drained, exec, &exec->timer) <
            0)
        drained(exec, 0);
}

static void expired(void *data, uint32_t events)
{
    Exec *exec = data;
    char sentence[80];

    (void)events;
    (void)snprintf(sentence, sizeof(sentence),
                   "the command did not end within its timeout of %lld ms",
                   (long long)exec->timeout_ms);
    command_kill(exec->command, FAILURE_DEADLINE_EXCEEDED, sentence);
}

static void client_gone(void *data)
{
    const Exec *exec = data;

    command_kill(exec->command, FAILURE_CANCELLED, "the client has gone away");
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

static int begin(Exec *exec, Container *container, char *const *argv, Failure *why)
{
    AUTO_CLOSE int in = -1, out = -1, err = -1;
    uint64_t deadline = clock_monotonic() + (uint64_t)exec->timeout_ms * CLOCK_MILLISECOND;
    int r = container_load_identity(container, why);

    if (r < 0)
        return r;
    in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    r = in < 0 ? -errno : open_capture(&exec->captures[0], container->identity, &out);
    if (r >= 0)
        r = open_capture(&exec->captures[1], container->identity, &err);
    if (r >= 0 && exec->timeout_ms > 0)
        r = event_add_timer(exec->pod->loop, deadline, expired, exec, &exec->timer);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot open the command's streams");
    r = command_start(container, argv, &(SpawnStdio){in, out, err, -1, false}, command_ended, exec,
                      &exec->command, why);
    if (r >= 0)
        call_on_gone(exec->call, client_gone, exec);
    return r;
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
    for (int i = 0; i < 2; i++)
        exec->captures[i] = (Capture){.exec = exec, .fd = -1};
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
