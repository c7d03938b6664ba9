/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "dispatcher/image/confine.h"
#include "shared/channel.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/path.h"

/* The layers below, of which the child may have to know, can take as long as this one. */
enum { HELPER_TIMEOUT_MS = 60 * 60 * 1000 };

typedef enum MessageKind {
    MESSAGE_OPAQUE, /* child: with a directory's descriptor */
    MESSAGE_ADOPT,  /* child: the same, and `path` */
    MESSAGE_ANSWER, /* parent: `result` */
    MESSAGE_DONE,   /* child: `result`, and `diff_id` or `why` */
} MessageKind;

/* The conversation between parent and child. The parent believes nothing in it: kinds and lengths
 * are checked, the path is resolved without links below our own trees. */
typedef struct Message {
    MessageKind kind;
    int result;
    union {
        char path[PATH_MAX];
        Digest diff_id;
        Failure why;
    };
} Message;

struct Unpack {
    pid_t pid;
    int channel_fd;
    dev_t device;
    int *lower_fds;
    size_t lower_fds_count;
    bool lower_is_whole;
    int waiting_fd;              /* a directory to be adopted then, or −1; the child waits */
    char waiting_path[PATH_MAX]; /* of it */
};

/* ---- the child ---- */

/* The next message of the other side; the envelope has its descriptors. */
static int receive(int fd, ChannelMessage *envelope, Message *ret)
{
    int r = channel_receive(fd, envelope);

    if (r <= 0)
        return r < 0 ? r : -EPIPE;
    if (envelope->size != sizeof(*ret))
        return -EBADMSG;
    memcpy(ret, envelope->data, sizeof(*ret));
    return 0;
}

static int ask(int channel_fd, const Message *message, int dir_fd)
{
    CLEANUP(channel_message_done) ChannelMessage envelope = {0};
    struct pollfd readable = {.fd = channel_fd, .events = POLLIN};
    Message answer;
    int r = channel_send(channel_fd, message, sizeof(*message), &dir_fd, 1);

    if (r < 0)
        return r;
    if (poll(&readable, 1, HELPER_TIMEOUT_MS) != 1)
        return -ETIMEDOUT;
    r = receive(channel_fd, &envelope, &answer);
    return r < 0 ? r : answer.result;
}

static int ask_opaque(void *context, int dir_fd)
{
    Message message = {.kind = MESSAGE_OPAQUE};

    return ask(*(const int *)context, &message, dir_fd);
}

static int ask_adopt(void *context, int dir_fd, const char *path)
{
    Message message = {.kind = MESSAGE_ADOPT};

    (void)snprintf(message.path, sizeof(message.path), "%s", path);
    return ask(*(const int *)context, &message, dir_fd);
}

static int extract(const UnpackPlan *plan, int channel_fd, Digest *ret_diff_id, Failure *why)
{
    ConfinePlan confinement = {
        .root_fd = plan->tree_fd,
        .keep_fds = {channel_fd, plan->archive_fd},
    };
    int confined_channel_fd = 3, root_fd;
    TreeHelper helper = {&confined_channel_fd, ask_opaque, ask_adopt};

    layer_prepare();
    root_fd = confine_self(&confinement, why);
    if (root_fd < 0)
        return root_fd;
    return layer_extract(4, root_fd, &plan->limits, &helper, ret_diff_id, why);
}

__attribute__((noreturn)) static void run_child(const UnpackPlan *plan, int channel_fd,
                                                pid_t parent)
{
    Message message = {.kind = MESSAGE_DONE};
    Digest diff_id;
    Failure why = {0};
    sigset_t none;

    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != parent)
        _exit(1);
    message.result = extract(plan, channel_fd, &diff_id, &why);
    if (message.result < 0)
        message.why = why;
    else
        message.diff_id = diff_id;
    if (channel_send(3, &message, sizeof(message), NULL, 0) < 0)
        _exit(1);
    _exit(0);
}

/* ---- the parent ---- */

static int start(Unpack *unpack, const UnpackPlan *plan, Failure *why)
{
    AUTO_CLOSE int child_fd = -1;
    struct stat status;
    pid_t parent = getpid();
    int pair[2];

    unpack->channel_fd = unpack->waiting_fd = -1;
    unpack->lower_is_whole = !plan->lower_is_unfinished;
    unpack->lower_fds = calloc(plan->lower_fds_count + 1, sizeof(*unpack->lower_fds));
    if (!unpack->lower_fds)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot start the unpacker");
    for (size_t i = 0; i < plan->lower_fds_count; i++)
        unpack->lower_fds[i] = plan->lower_fds[i];
    unpack->lower_fds_count = plan->lower_fds_count;

    if (fstat(plan->tree_fd, &status) < 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot start the unpacker");
    unpack->device = status.st_dev;
    unpack->channel_fd = pair[0];
    child_fd = pair[1];
    unpack->pid = fork();
    if (unpack->pid < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot start the unpacker");
    if (unpack->pid == 0)
        run_child(plan, child_fd, parent);
    return 0;
}

int unpack_start(const UnpackPlan *plan, Unpack **ret, Failure *why)
{
    Unpack *unpack = calloc(1, sizeof(*unpack));
    int r;

    if (!unpack)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot start the unpacker");
    r = start(unpack, plan, why);
    if (r < 0) {
        unpack_free(unpack);
        return r;
    }
    *ret = unpack;
    return 0;
}

/* The wait status; the process is gone after it. */
static int reap(Unpack *unpack, bool kill_it)
{
    int status = 0;

    if (unpack->pid <= 0)
        return 0;
    if (kill_it)
        (void)kill(unpack->pid, SIGKILL);
    while (waitpid(unpack->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    unpack->pid = 0;
    return status;
}

Unpack *unpack_free(Unpack *unpack)
{
    if (unpack) {
        (void)reap(unpack, true);
        if (unpack->channel_fd >= 0)
            (void)close(unpack->channel_fd);
        fd_close(&unpack->waiting_fd);
        free(unpack->lower_fds);
        free(unpack);
    }
    return NULL;
}

int unpack_fd(const Unpack *unpack)
{
    return unpack->channel_fd;
}

static int adopt(const Unpack *unpack, int dir_fd, const char *path)
{
    for (size_t i = 0; i < unpack->lower_fds_count; i++) {
        AUTO_CLOSE int lower_fd = path_open_beneath(unpack->lower_fds[i], path[0] ? path : ".",
                                                    O_RDONLY | O_DIRECTORY, 0);
        struct stat status;

        if (lower_fd == -ENOENT)
            continue;
        if (lower_fd < 0)
            return 0; /* hidden or replaced there: nothing to take over */
        if (fstat(lower_fd, &status) < 0 || fchown(dir_fd, status.st_uid, status.st_gid) < 0 ||
            fchmod(dir_fd, status.st_mode & 07777) < 0 ||
            futimens(dir_fd, (struct timespec[]){status.st_atim, status.st_mtim}) < 0)
            return -errno;
        return 0;
    }
    return 0;
}

static int answer(const Unpack *unpack, int result, Failure *why)
{
    Message message = {.kind = MESSAGE_ANSWER, .result = result};
    int r = channel_send(unpack->channel_fd, &message, sizeof(message), NULL, 0);

    return r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot answer the unpacker") : 0;
}

int unpack_lower_is_whole(Unpack *unpack, Failure *why)
{
    int r;

    unpack->lower_is_whole = true;
    if (unpack->waiting_fd < 0)
        return 0;
    r = adopt(unpack, unpack->waiting_fd, unpack->waiting_path);
    fd_close(&unpack->waiting_fd);
    return answer(unpack, r, why);
}

/* The result for the answer; > 0: it has to wait. */
static int help(Unpack *unpack, const Message *message, ChannelMessage *envelope)
{
    struct stat status;
    int dir_fd = envelope->fds_count == 1 ? envelope->fds[0] : -1;

    if (dir_fd < 0 || fstat(dir_fd, &status) < 0 || !S_ISDIR(status.st_mode) ||
        status.st_dev != unpack->device)
        return -EBADF;
    if (message->kind == MESSAGE_OPAQUE)
        return fsetxattr(dir_fd, "trusted.overlay.opaque", "y", 1, 0) < 0 ? -errno : 0;
    if (strnlen(message->path, sizeof(message->path)) == sizeof(message->path))
        return -EBADMSG;
    if (unpack->lower_is_whole)
        return adopt(unpack, dir_fd, message->path);
    if (unpack->waiting_fd >= 0)
        return -EBADMSG;
    unpack->waiting_fd = take_fd(&envelope->fds[0]);
    memcpy(unpack->waiting_path, message->path, sizeof(unpack->waiting_path));
    return 1;
}

static int finish(Unpack *unpack, Message *message, Digest *ret_diff_id, Failure *why)
{
    (void)reap(unpack, false);
    if (message->result == 0 && message->diff_id.algorithm == DIGEST_SHA256) {
        *ret_diff_id = message->diff_id;
        return 1;
    }
    if (message->result >= 0 || message->result < -4095)
        return failure_say(why, FAILURE_INTERNAL, "the unpacker gave a senseless answer");
    message->why.text[sizeof(message->why.text) - 1] = 0;
    (void)failure_say(why, message->why.code, "%s", message->why.text);
    return message->result;
}

int unpack_step(Unpack *unpack, Digest *ret_diff_id, Failure *why)
{
    CLEANUP(channel_message_done) ChannelMessage envelope = {0};
    Message message;
    int r = receive(unpack->channel_fd, &envelope, &message);

    if (r == -EAGAIN)
        return 0;
    if (r < 0) {
        int status = reap(unpack, true);

        return failure_say(why, FAILURE_INTERNAL, "the unpacker ended early (%s %d)",
                           WIFSIGNALED(status) ? "signal" : "status",
                           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)),
               -EIO;
    }
    if (message.kind == MESSAGE_DONE)
        return finish(unpack, &message, ret_diff_id, why);
    r = help(unpack, &message, &envelope);
    return r > 0 ? 0 : answer(unpack, r, why);
}

int unpack_wait(Unpack *unpack, int timeout_ms, Digest *ret_diff_id, Failure *why)
{
    uint64_t end = clock_monotonic() + (uint64_t)timeout_ms * CLOCK_MILLISECOND;
    int r = 0;

    while (r == 0) {
        struct pollfd readable = {.fd = unpack->channel_fd, .events = POLLIN};
        uint64_t now = clock_monotonic();

        if (now >= end)
            return failure_set(why, FAILURE_DEADLINE_EXCEEDED, ETIMEDOUT,
                               "unpacking took more than %d s", timeout_ms / 1000);
        if (poll(&readable, 1, (int)((end - now) / CLOCK_MILLISECOND) + 1) < 0 && errno != EINTR)
            return failure_set(why, FAILURE_INTERNAL, errno, "cannot wait for the unpacker");
        r = unpack_step(unpack, ret_diff_id, why);
    }
    return r < 0 ? r : 0;
}

int unpack_run(const UnpackPlan *plan, int timeout_ms, Digest *ret_diff_id, Failure *why)
{
    Unpack *unpack = NULL;
    int r = unpack_start(plan, &unpack, why);

    if (r < 0 || !unpack)
        return r;
    r = unpack_wait(unpack, timeout_ms, ret_diff_id, why);
    unpack_free(unpack);
    return r;
}
