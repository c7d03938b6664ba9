/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/pulls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dispatcher/image/reference.h"
#include "dispatcher/image/worker.h"
#include "dispatcher/image/worker_group.h"
#include "shared/channel.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"

typedef struct ImagePull ImagePull;

struct PullWaiter {
    ImagePull *pull;
    PullWaiter *next, **link;
    PullDone *done;
    void *data;
};

struct ImagePull {
    ImagePulls *pulls;
    ImagePull *next, **link;
    char key[IMAGE_REFERENCE_SIZE]; /* the reference, normalised */
    Credentials credentials;
    PullWaiter *waiters; /* none: it has been killed */
    int channel_fd, pidfd;
    EventSource *source;
};

struct ImagePulls {
    EventLoop *loop;
    PullSettings settings;
    ImagePull *first;
    size_t count;
    EventSource *sweep; /* of control groups that were not empty yet */
};

#define SWEEP_INTERVAL (100 * CLOCK_MILLISECOND)

/* ---- the worker ---- */

/* Beside the dispatcher's own binary. */
static int find_program(char ret[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", ret, PATH_MAX - sizeof(WORKER_PROGRAM));
    char *slash;

    if (length < 0)
        return -errno;
    ret[length] = 0;
    slash = strrchr(ret, '/');
    if (!slash || (size_t)length >= PATH_MAX - sizeof(WORKER_PROGRAM))
        return -ENAMETOOLONG;
    memcpy(slash + 1, WORKER_PROGRAM, sizeof(WORKER_PROGRAM));
    return 0;
}

/* With the dispatcher's environment, which says what proxies there are. */
static int spawn(int channel_fd, pid_t *ret)
{
    static char name[] = WORKER_PROGRAM, argument[] = WORKER_ARGUMENT;
    char *const argv[] = {name, argument, NULL};
    char program[PATH_MAX];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    int r = find_program(program);

    if (r < 0)
        return r;
    sigemptyset(&none);
    sigfillset(&defaults);
    if (posix_spawn_file_actions_init(&actions) != 0)
        return -ENOMEM;
    if (posix_spawnattr_init(&attributes) != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return -ENOMEM;
    }
    r = posix_spawn_file_actions_adddup2(&actions, channel_fd, WORKER_CHANNEL_FD);
    if (r == 0)
        r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (r == 0)
        r = posix_spawn_file_actions_addclosefrom_np(&actions, WORKER_CHANNEL_FD + 1);
    if (r == 0)
        r = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                      POSIX_SPAWN_SETSID);
    if (r == 0)
        r = posix_spawnattr_setsigmask(&attributes, &none);
    if (r == 0)
        r = posix_spawnattr_setsigdefault(&attributes, &defaults);
    if (r == 0)
        r = posix_spawn(ret, program, &actions, &attributes, argv, environ);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return -r;
}

static int send_order(const ImagePull *pull, const char *reference)
{
    const PullSettings *settings = &pull->pulls->settings;
    Pull__Credentials credentials = credentials_message(&pull->credentials);
    Pull__Order order = PULL__ORDER__INIT;
    uint8_t *data;
    size_t size;
    int r;

    order.root_dir = (char *)(uintptr_t)settings->root_dir;
    order.registries_dir = (char *)(uintptr_t)settings->registries_dir;
    order.reference = (char *)(uintptr_t)reference;
    order.credentials = &credentials;
    order.parallel_layers = settings->parallel_layers;
    order.stall_timeout_ms = settings->stall_timeout_ms;
    order.slice = (char *)(uintptr_t)settings->slice;
    order.systemd = settings->systemd;
    order.memory_max = settings->memory_max;
    if (settings->proxy)
        order.proxy = (char *)(uintptr_t)settings->proxy;
    size = pull__order__get_packed_size(&order);
    data = malloc(size + 1);
    if (!data)
        return -ENOMEM;
    (void)pull__order__pack(&order, data);
    r = channel_send(pull->channel_fd, data, size, NULL, 0);
    explicit_bzero(data, size);
    free(data);
    return r;
}

static void reap(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

static int start_worker(ImagePull *pull, const char *reference)
{
    AUTO_CLOSE int child_fd = -1;
    int pair[2], r;
    pid_t pid = 0;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return -errno;
    pull->channel_fd = pair[0];
    child_fd = pair[1];
    /* dup2 onto itself would leave it close-on-exec. */
    if (child_fd == WORKER_CHANNEL_FD) {
        child_fd = fcntl(pair[1], F_DUPFD_CLOEXEC, WORKER_CHANNEL_FD + 1);
        (void)close(pair[1]);
        if (child_fd < 0)
            return -errno;
    }
    r = send_order(pull, reference);
    if (r == 0)
        r = spawn(child_fd, &pid);
    if (r < 0)
        return r;
    pull->pidfd = fd_open_pid(pid);
    if (pull->pidfd < 0) {
        (void)kill(pid, SIGKILL);
        reap(pid);
        return pull->pidfd;
    }
    return 0;
}

/* ---- pulls and who waits for them ---- */

static void pull_free(ImagePull *pull)
{
    *pull->link = pull->next;
    if (pull->next)
        pull->next->link = pull->link;
    pull->pulls->count--;
    (void)event_free(pull->source);
    fd_close(&pull->channel_fd);
    fd_close(&pull->pidfd);
    credentials_done(&pull->credentials);
    free(pull);
}

static void waiter_free(PullWaiter *waiter)
{
    *waiter->link = waiter->next;
    if (waiter->next)
        waiter->next->link = waiter->link;
    free(waiter);
}

static void tell(PullWaiter *waiter, const char *image_id, const Failure *why)
{
    PullDone *done = waiter->done;
    void *data = waiter->data;

    waiter_free(waiter);
    done(data, image_id, why);
}

/* What the worker has said before it ended; else a failure. */
static Pull__Answer *receive_answer(const ImagePull *pull, const siginfo_t *info, Failure *why)
{
    CLEANUP(channel_message_done) ChannelMessage message = {0};
    Pull__Answer *answer = NULL;

    if (channel_receive(pull->channel_fd, &message) == 1)
        answer = pull__answer__unpack(NULL, message.size, message.data);
    if (!answer)
        (void)failure_say(why, FAILURE_INTERNAL, "%s: the image worker ended early (%s %d)",
                          pull->key, info->si_code == CLD_EXITED ? "status" : "signal",
                          info->si_status);
    else if (!*answer->image_id)
        (void)failure_say(why, (FailureCode)answer->failure_code, "%s", answer->failure_text);
    return answer;
}

/* What a killed worker had unpacking dies a moment after it. Groups of workers that live count too:
 * their end is what is waited for then. */
static void sweep_groups(void *data, uint32_t events)
{
    ImagePulls *pulls = data;
    int left = worker_group_sweep(pulls->settings.slice, pulls->settings.systemd);

    (void)events;
    (void)event_set_timer(
        pulls->sweep, left > (int)pulls->count ? clock_monotonic() + SWEEP_INTERVAL : UINT64_MAX);
}

static void on_exit_of_worker(void *data, uint32_t events)
{
    ImagePull *pull = data;
    ImagePulls *pulls;
    Pull__Answer *answer;
    siginfo_t info = {0};
    Failure why = {0};

    (void)events;
    if (waitid(P_PIDFD, (id_t)pull->pidfd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
        return;
    pull->source = event_free(pull->source);
    answer = receive_answer(pull, &info, &why);
    while (pull->waiters)
        tell(pull->waiters, answer && *answer->image_id ? answer->image_id : NULL, &why);
    if (answer)
        pull__answer__free_unpacked(answer, NULL);
    pulls = pull->pulls;
    pull_free(pull);
    sweep_groups(pulls, 0);
}

static int pull_new(ImagePulls *pulls, const char *key, const char *reference,
                    const Credentials *credentials, ImagePull **ret, Failure *why)
{
    Pull__Credentials message = credentials_message(credentials);
    ImagePull *pull;
    int r;

    if (pulls->count >= PULLS_MAX)
        return failure_say(why, FAILURE_RESOURCE_EXHAUSTED, "%d images are being pulled already",
                           PULLS_MAX),
               -EBUSY;
    pull = calloc(1, sizeof(*pull));
    if (!pull)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot pull an image");
    pull->pulls = pulls;
    pull->channel_fd = pull->pidfd = -1;
    (void)snprintf(pull->key, sizeof(pull->key), "%s", key);
    pull->next = pulls->first;
    pull->link = &pulls->first;
    if (pull->next)
        pull->next->link = &pull->next;
    pulls->first = pull;
    pulls->count++;
    r = credentials_make(&message, NULL, &pull->credentials, why);
    if (r == 0 && (r = start_worker(pull, reference)) < 0)
        (void)failure_set(why, FAILURE_INTERNAL, -r, "cannot start an image worker");
    if (r == 0) {
        r = event_add_fd(pulls->loop, pull->pidfd, EPOLLIN, on_exit_of_worker, pull, &pull->source);
        if (r < 0) {
            (void)fd_signal(pull->pidfd, SIGKILL);
            (void)waitid(P_PIDFD, (id_t)pull->pidfd, &(siginfo_t){0}, WEXITED);
            (void)failure_set(why, FAILURE_INTERNAL, -r, "cannot watch an image worker");
        }
    }
    if (r < 0) {
        pull_free(pull);
        return r;
    }
    *ret = pull;
    return 0;
}

int image_pulls_new(EventLoop *loop, const PullSettings *settings, ImagePulls **ret)
{
    ImagePulls *pulls = calloc(1, sizeof(*pulls));
    int r;

    if (!pulls)
        return -ENOMEM;
    pulls->loop = loop;
    pulls->settings = *settings;
    r = event_add_timer(loop, clock_monotonic(), sweep_groups, pulls, &pulls->sweep);
    if (r < 0) {
        free(pulls);
        return r;
    }
    *ret = pulls;
    return 0;
}

ImagePulls *image_pulls_free(ImagePulls *pulls)
{
    while (pulls && pulls->first) {
        while (pulls->first->waiters)
            waiter_free(pulls->first->waiters);
        pull_free(pulls->first);
    }
    if (pulls) {
        (void)event_free(pulls->sweep);
        (void)worker_group_sweep(pulls->settings.slice, pulls->settings.systemd);
    }
    free(pulls);
    return NULL;
}

int image_pulls_join(ImagePulls *pulls, const char *reference, const Credentials *credentials,
                     PullDone *done, void *data, PullWaiter **ret, Failure *why)
{
    ImageReference parsed;
    char key[IMAGE_REFERENCE_SIZE];
    PullWaiter *waiter;
    ImagePull *pull;
    int r = image_reference_parse(reference, &parsed, why);

    if (r < 0)
        return r;
    if (parsed.digest[0])
        image_reference_print_digest(&parsed, parsed.digest, key);
    else
        image_reference_print_tag(&parsed, key);
    for (pull = pulls->first; pull; pull = pull->next)
        if (pull->waiters && strcmp(pull->key, key) == 0 &&
            credentials_equal(&pull->credentials, credentials))
            break;
    waiter = malloc(sizeof(*waiter));
    if (!waiter)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot pull an image");
    r = pull ? 0 : pull_new(pulls, key, reference, credentials, &pull, why);
    if (r < 0) {
        free(waiter);
        return r;
    }
    *waiter = (PullWaiter){pull, pull->waiters, &pull->waiters, done, data};
    if (waiter->next)
        waiter->next->link = &waiter->next;
    pull->waiters = waiter;
    *ret = waiter;
    return 0;
}

void pull_waiter_leave(PullWaiter *waiter)
{
    ImagePull *pull = waiter->pull;

    waiter_free(waiter);
    if (!pull->waiters)
        (void)fd_signal(pull->pidfd, SIGKILL);
}
