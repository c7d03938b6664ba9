/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/fd.h"

/* How long the loop may wait for a killed child. One that takes longer hangs in the kernel and is
 * left to be reaped when it ends. */
enum { WORKER_REAP_MS = 100 };

/* The child's answer: this, and the output behind it. */
typedef struct WorkerAnswer {
    int result;
    Failure why;
} WorkerAnswer;

struct Worker {
    pid_t pid;
    int pidfd;
    int pipe_fd;
    Text received;
    WorkerDone done; /* NULL: nobody waits any more, only the child is to be reaped */
    void *data;
    EventSource *on_output;
    EventSource *on_exit;
    EventSource *on_deadline;
};

static Worker *worker_delete(Worker *worker)
{
    worker->on_output = event_free(worker->on_output);
    worker->on_exit = event_free(worker->on_exit);
    worker->on_deadline = event_free(worker->on_deadline);
    fd_close(&worker->pipe_fd);
    fd_close(&worker->pidfd);
    text_done(&worker->received);
    free(worker);
    return NULL;
}

/* The last thing a worker does for its owner. */
static void worker_report(Worker *worker, const char *output, size_t size, const Failure *why)
{
    WorkerDone done = worker->done;
    void *data = worker->data;

    worker->done = NULL;
    if (done)
        done(data, output, size, why);
}

/* The group is killed while its leader is still a child of ours, alive or not yet reaped: its
 * number cannot have become anybody else's. */
static void worker_kill(const Worker *worker)
{
    (void)killpg(worker->pid, SIGKILL);
    (void)fd_signal(worker->pidfd, SIGKILL);
}

/* Kills and reaps the child and deletes the worker; a child that does not end at once keeps its
 * worker, without an owner, until it does. */
static void worker_abandon(Worker *worker)
{
    struct pollfd waited = {.fd = worker->pidfd, .events = POLLIN};

    worker_kill(worker);
    worker->done = NULL;
    worker->on_output = event_free(worker->on_output);
    worker->on_deadline = event_free(worker->on_deadline);
    if (poll(&waited, 1, WORKER_REAP_MS) <= 0)
        return;
    (void)waitid(P_PIDFD, (id_t)worker->pidfd, &(siginfo_t){0}, WEXITED);
    (void)worker_delete(worker);
}

/* Ends the worker early with this failure. */
static void worker_fail(Worker *worker, const Failure *why)
{
    WorkerDone done = worker->done;
    void *data = worker->data;

    worker_abandon(worker);
    if (done)
        done(data, NULL, 0, why);
}

/* 0 at the end of what can be read now, −errno. */
static int worker_receive(Worker *worker)
{
    char buffer[16 * 1024];

    for (;;) {
        ssize_t size = read(worker->pipe_fd, buffer, sizeof(buffer));
        int r;

        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return errno == EAGAIN ? 0 : -errno;
        if (size == 0) {
            worker->on_output = event_free(worker->on_output);
            return 0;
        }
        if (worker->received.size + (size_t)size > sizeof(WorkerAnswer) + WORKER_OUTPUT_MAX)
            return -EFBIG;
        r = text_append(&worker->received, buffer, (size_t)size);
        if (r < 0)
            return r;
    }
}

static void worker_on_output(void *data, uint32_t events)
{
    Worker *worker = data;
    Failure why;
    int r = worker_receive(worker);

    (void)events;
    if (r == -EFBIG)
        (void)failure_say(&why, FAILURE_RESOURCE_EXHAUSTED,
                          "the worker's output is larger than %d bytes", WORKER_OUTPUT_MAX);
    else if (r < 0)
        (void)failure_set(&why, FAILURE_INTERNAL, -r, "cannot read the worker's output");
    else
        return;
    worker_fail(worker, &why);
}

static void worker_on_deadline(void *data, uint32_t events)
{
    Failure why;

    (void)events;
    (void)failure_say(&why, FAILURE_DEADLINE_EXCEEDED,
                      "it was not done before its deadline and has been killed");
    worker_fail(data, &why);
}

/* What a child that did not answer died of. */
static void describe_end(const siginfo_t *end, Failure *ret)
{
    const char *name = sigabbrev_np(end->si_status);

    if (end->si_code == CLD_EXITED)
        (void)failure_say(ret, FAILURE_INTERNAL, "the worker ended with status %d unanswered",
                          end->si_status);
    else if (name)
        (void)failure_say(ret, FAILURE_INTERNAL, "the worker was killed by SIG%s", name);
    else
        (void)failure_say(ret, FAILURE_INTERNAL, "the worker was killed by signal %d",
                          end->si_status);
}

static void worker_on_exit(void *data, uint32_t events)
{
    Worker *worker = data;
    siginfo_t end = {0};
    WorkerAnswer answer;
    Failure why;
    int r = worker_receive(worker);

    (void)events;
    worker_kill(worker);
    (void)waitid(P_PIDFD, (id_t)worker->pidfd, &end, WEXITED);
    if (r < 0) {
        (void)failure_set(&why, FAILURE_INTERNAL, -r, "cannot read the worker's output");
        worker_report(worker, NULL, 0, &why);
    } else if (end.si_code != CLD_EXITED || end.si_status != 0 ||
               worker->received.size < sizeof(answer)) {
        describe_end(&end, &why);
        worker_report(worker, NULL, 0, &why);
    } else {
        memcpy(&answer, worker->received.data, sizeof(answer));
        if (answer.result < 0)
            worker_report(worker, NULL, 0, &answer.why);
        else
            worker_report(worker, worker->received.data + sizeof(answer),
                          worker->received.size - sizeof(answer), NULL);
    }
    (void)worker_delete(worker);
}

static void child_reset_signals(void)
{
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int signal = 1; signal < NSIG; signal++)
        (void)sigaction(signal, &standard, NULL); /* refused for those that cannot be caught */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void child_main(pid_t parent, int pipe_fd, WorkerRun run, void *data)
{
    WorkerAnswer answer = {0};
    Text output = {0};

    (void)setpgid(0, 0);
    child_reset_signals();
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_FAILURE);
    answer.result = run(data, &output, &answer.why);
    if (answer.result < 0 && answer.why.code == FAILURE_NONE)
        (void)failure_set(&answer.why, FAILURE_INTERNAL, -answer.result, "the work failed");
    if (fd_write_all(pipe_fd, &answer, sizeof(answer)) < 0)
        _exit(EXIT_FAILURE);
    if (answer.result >= 0 && fd_write_all(pipe_fd, output.data, output.size) < 0)
        _exit(EXIT_FAILURE);
    _exit(EXIT_SUCCESS);
}

static int worker_watch(Worker *worker, EventLoop *loop, uint64_t deadline)
{
    int r;

    worker->pidfd = fd_open_pid(worker->pid);
    if (worker->pidfd < 0)
        return worker->pidfd;
    r = fd_set_nonblocking(worker->pipe_fd, true);
    if (r < 0)
        return r;
    r = event_add_fd(loop, worker->pipe_fd, EPOLLIN, worker_on_output, worker, &worker->on_output);
    if (r < 0)
        return r;
    r = event_add_fd(loop, worker->pidfd, EPOLLIN, worker_on_exit, worker, &worker->on_exit);
    if (r < 0)
        return r;
    return event_add_timer(loop, deadline, worker_on_deadline, worker, &worker->on_deadline);
}

int worker_start(EventLoop *loop, WorkerRun run, void *run_data, uint64_t deadline, WorkerDone done,
                 void *data, Worker **ret, Failure *why)
{
    AUTO_CLOSE int write_fd = -1;
    Worker *worker = malloc(sizeof(*worker));
    pid_t parent = getpid();
    int fds[2], r;

    if (!worker)
        return failure_set(why, FAILURE_RESOURCE_EXHAUSTED, ENOMEM, "cannot start a worker");
    *worker = (Worker){.pidfd = -1, .pipe_fd = -1, .done = done, .data = data};
    if (pipe2(fds, O_CLOEXEC) < 0) {
        r = failure_set(why, FAILURE_INTERNAL, errno, "cannot start a worker");
        (void)worker_delete(worker);
        return r;
    }
    worker->pipe_fd = fds[0];
    write_fd = fds[1];
    worker->pid = fork();
    if (worker->pid == 0)
        child_main(parent, write_fd, run, run_data);
    if (worker->pid < 0) {
        r = failure_set(why, FAILURE_RESOURCE_EXHAUSTED, errno, "cannot start a worker");
        (void)worker_delete(worker);
        return r;
    }
    (void)setpgid(worker->pid, worker->pid); /* here too: whoever is first */
    r = worker_watch(worker, loop, deadline);
    if (r < 0) {
        (void)killpg(worker->pid, SIGKILL);
        (void)waitpid(worker->pid, NULL, 0);
        (void)worker_delete(worker);
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot watch a worker");
    }
    *ret = worker;
    return 0;
}

Worker *worker_free(Worker *worker)
{
    if (worker)
        worker_abandon(worker);
    return NULL;
}
