/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/stream/child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "podmon/stream/confine.h"
#include "podmon/stream/handshake.h"
#include "podmon/stream/link.h"
#include "podmon/stream/ports.h"
#include "podmon/stream/remote.h"
#include "shared/cleanup.h"
#include "shared/fd.h"
#include "shared/file.h"

enum { NOBODY = 65534 };

static void reset_signals(void)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};
    struct sigaction ignored = {.sa_handler = SIG_IGN};
    sigset_t none;

    for (int signal = 1; signal < NSIG; signal++)
        (void)sigaction(signal, &standard, NULL); /* refused for those that cannot be caught */
    (void)sigaction(SIGPIPE, &ignored, NULL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Everything but standard error, where a crash is told, and what belongs to the session. */
static int close_others(const StreamPlan *plan)
{
    unsigned low = (unsigned)plan->client_fd, high = (unsigned)plan->control_fd;

    if (low > high) {
        low = (unsigned)plan->control_fd;
        high = (unsigned)plan->client_fd;
    }
    if ((low > 3 && close_range(3, low - 1, 0) < 0) ||
        (high > low + 1 && close_range(low + 1, high - 1, 0) < 0) ||
        close_range(high + 1, ~0U, 0) < 0)
        return -errno;
    return 0;
}

static int drop_privileges(const StreamPlan *plan)
{
    int r;

    (void)file_put_at(AT_FDCWD, "/proc/self/oom_score_adj", "0"); /* podmon's is not for this. */
    if (plan->netns_fd >= 0 && setns(plan->netns_fd, CLONE_NEWNET) < 0)
        return -errno;
    r = close_others(plan);
    if (r < 0)
        return r;
    if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
        setresuid(NOBODY, NOBODY, NOBODY) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_DUMPABLE, 0) < 0)
        return -errno;
    return confine_stream();
}

static void no_input(void *data, const uint8_t *bytes, size_t size)
{
    (void)data;
    (void)bytes;
    (void)size;
}

static void no_room(void *data)
{
    (void)data;
}

static void on_closed(void *data)
{
    event_loop_exit(data, 0);
}

/* The answer is all there is to say. */
static int refuse(EventLoop *loop, const StreamPlan *plan, const Handshake *handshake)
{
    static const LinkEvents events = {no_input, no_room, on_closed, on_closed, NULL};
    struct iovec answer = {(void *)(uintptr_t)handshake->answer, handshake->size};
    Link *link = NULL;
    int r = link_new(loop, plan->client_fd, &events, loop, &link);

    if (r < 0)
        return r;
    link_write(link, &answer, 1);
    link_finish(link);
    r = event_loop_run(loop);
    link_free(link);
    return r;
}

static int serve(const StreamPlan *plan)
{
    bool is_ports = plan->request->operation == PODMON__STREAM_OPERATION__STREAM_PORT_FORWARD;
    AUTO_FREE char *head_text = malloc(plan->size);
    HttpHead head;
    Handshake handshake;
    EventLoop *loop = NULL;
    const char *rest;
    size_t size;
    int r;

    if (!head_text)
        return -ENOMEM;
    memcpy(head_text, plan->bytes, plan->size);
    r = http_head_parse(head_text, plan->size, &head);
    if (r <= 0)
        return -EBADMSG; /* Who handed it over has read it as one. */
    rest = (const char *)plan->bytes + head.size;
    size = plan->size - head.size;
    handshake_answer(&head, is_ports ? STREAM_USE_PORTS : STREAM_USE_COMMAND, &handshake);
    r = event_loop_new(&loop);
    if (r < 0)
        return r;
    if (!handshake.protocol)
        r = refuse(loop, plan, &handshake);
    else if (!is_ports)
        r = remote_serve(loop, plan, &handshake, rest, size);
    else if (handshake.protocol->is_websocket && !handshake.protocol->is_tunnel)
        r = ports_serve_channels(loop, plan, &handshake, rest, size);
    else
        r = ports_serve_pairs(loop, plan, &handshake, rest, size);
    event_loop_free(loop);
    return r;
}

static _Noreturn void child_main(const StreamPlan *plan)
{
    reset_signals();
    (void)prctl(PR_SET_NAME, "podmon-stream");
    if (drop_privileges(plan) < 0 || serve(plan) < 0)
        _exit(EXIT_FAILURE);
    _exit(EXIT_SUCCESS);
}

int child_start(const StreamPlan *plan, pid_t *ret_pid, int *ret_pidfd, Failure *why)
{
    pid_t pid = fork();
    int pidfd;

    if (pid == 0)
        child_main(plan);
    if (pid < 0)
        return failure_set(why, FAILURE_RESOURCE_EXHAUSTED, errno, "cannot start a process");
    pidfd = fd_open_pid(pid);
    if (pidfd < 0) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        return failure_set(why, FAILURE_RESOURCE_EXHAUSTED, -pidfd, "cannot watch a process");
    }
    *ret_pid = pid;
    *ret_pidfd = pidfd;
    return 0;
}
