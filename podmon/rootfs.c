/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "shared/cleanup.h"
#include "shared/fd.h"
#include "shared/text.h"

enum {
    VALUE_MAX = 255,  /* of a string option of fsconfig(2) */
    LAYERS_MAX = 500, /* OVL_MAX_STACK */
    HELPER_TIMEOUT_MS = 10000,
};

/* What rootfs_mount was given. */
typedef struct Stack {
    char *const *layers;
    size_t count;
    const char *upper;
    const char *work;
    int userns_fd;
    const char *label;
} Stack;

static bool stack_is_read_only(const Stack *stack)
{
    return !stack->upper;
}

/* With lowerdir+ a path is taken as it is; upperdir and workdir still know the escapes. */
static bool path_is_plain(const char *path)
{
    return strlen(path) <= VALUE_MAX && !strpbrk(path, "\\:,");
}

static bool stack_is_plain(const Stack *stack)
{
    for (size_t i = 0; i < stack->count; i++)
        if (!path_is_plain(stack->layers[i]))
            return false;
    return stack_is_read_only(stack) || (path_is_plain(stack->upper) && path_is_plain(stack->work));
}

static int set_option(int fs_fd, const char *key, const char *value)
{
    return fsconfig(fs_fd, FSCONFIG_SET_STRING, key, value, 0) < 0 ? -errno : 0;
}

/* −EINVAL also from a kernel that does not know lowerdir+. */
static int mount_by_options(const Stack *stack, int *ret_fd)
{
    AUTO_CLOSE int fs_fd = fsopen("overlay", FSOPEN_CLOEXEC);
    int r, fd;

    if (fs_fd < 0)
        return -errno;
    for (size_t i = stack->count; i-- > 0;) {
        r = set_option(fs_fd, "lowerdir+", stack->layers[i]);
        if (r < 0)
            return r;
    }
    if (!stack_is_read_only(stack)) {
        if ((r = set_option(fs_fd, "upperdir", stack->upper)) < 0 ||
            (r = set_option(fs_fd, "workdir", stack->work)) < 0)
            return r;
    }
    if (*stack->label && (r = set_option(fs_fd, "context", stack->label)) < 0)
        return r;
    if (fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -errno;
    fd = fsmount(fs_fd, FSMOUNT_CLOEXEC, stack_is_read_only(stack) ? MOUNT_ATTR_RDONLY : 0);
    if (fd < 0)
        return -errno;
    *ret_fd = fd;
    return 0;
}

/* The directory as a mount of its own, whose owners are those of the user namespace. */
static int clone_mapped(const char *layer, int userns_fd)
{
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY, .propagation = MS_PRIVATE};
    AUTO_CLOSE int fd = open_tree(AT_FDCWD, layer, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

    if (userns_fd >= 0) {
        attributes.attr_set |= MOUNT_ATTR_IDMAP;
        attributes.userns_fd = (unsigned int)userns_fd;
    }
    if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0)
        return -errno;
    return take_fd(&fd);
}

static int place_layer(const Stack *stack, const char *layer, const char *name)
{
    AUTO_CLOSE int fd = -1;

    if (stack->userns_fd < 0)
        return symlink(layer, name) < 0 ? -errno : 0;
    fd = clone_mapped(layer, stack->userns_fd);
    if (fd < 0)
        return fd;
    if (mkdir(name, 0700) < 0 || move_mount(fd, "", AT_FDCWD, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return -errno;
    return 0;
}

/* A page has to hold all the layers' names for mount(2), so they get short ones: links in a tmpfs
 * that only the helper's mount namespace knows. */
static int link_layers(const Stack *stack, Text *options)
{
    char name[24];
    int r;

    r = text_add(options, "lowerdir=");
    for (size_t i = stack->count; r >= 0 && i-- > 0;) {
        (void)snprintf(name, sizeof(name), "%zu", i);
        r = place_layer(stack, stack->layers[i], name);
        if (r < 0)
            return r;
        r = text_print(options, "%s%s", name, i > 0 ? ":" : "");
    }
    /* Nothing above it and nothing below is no overlay. */
    if (r >= 0 && stack->count == 1 && stack_is_read_only(stack))
        r = mkdir("nothing", 0700) < 0 ? -errno : text_add(options, ":nothing");
    /* In quotes, because a level has commas. */
    if (r >= 0 && *stack->label)
        r = text_print(options, ",context=\"%s\"", stack->label);
    if (r < 0 || stack_is_read_only(stack))
        return r;
    if (symlink(stack->upper, "upper") < 0 || symlink(stack->work, "work") < 0)
        return -errno;
    return text_add(options, ",upperdir=upper,workdir=work");
}

/* Nothing of ours is looked up through /proc once the tmpfs lies over it. */
static int mount_by_names(const Stack *stack)
{
    CLEANUP(text_done) Text options = {0};
    int r, fd;

    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("podmon", "/proc", "tmpfs", 0, "size=1m,mode=0700") < 0 || chdir("/proc") < 0 ||
        mkdir("root", 0700) < 0)
        return -errno;
    r = link_layers(stack, &options);
    if (r < 0)
        return r;
    if (mount("overlay", "root", "overlay", stack_is_read_only(stack) ? MS_RDONLY : 0,
              options.data) < 0)
        return -errno;
    fd = open_tree(AT_FDCWD, "root", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static void helper_send(int socket_fd, int result)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    int32_t answer = result < 0 ? result : 0;
    struct iovec part = {&answer, sizeof(answer)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (result >= 0) {
        struct cmsghdr *header;

        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &result, sizeof(result));
    }
    (void)sendmsg(socket_fd, &message, MSG_NOSIGNAL);
}

static int helper_receive(int socket_fd, int *ret_fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    int32_t answer = 0;
    struct iovec part = {&answer, sizeof(answer)};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    struct pollfd ready = {.fd = socket_fd, .events = POLLIN};
    struct cmsghdr *header;

    if (poll(&ready, 1, HELPER_TIMEOUT_MS) == 0)
        return -ETIMEDOUT;
    if (recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) != sizeof(answer))
        return -EPROTO;
    header = CMSG_FIRSTHDR(&message);
    if (answer < 0)
        return answer;
    if (!header || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int)))
        return -EPROTO;
    memcpy(ret_fd, CMSG_DATA(header), sizeof(*ret_fd));
    return 0;
}

static int mount_in_helper(const Stack *stack, int *ret_fd)
{
    AUTO_CLOSE int ours = -1;
    AUTO_CLOSE int theirs = -1;
    int pair[2], r;
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    ours = pair[0];
    theirs = pair[1];
    pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0) {
        helper_send(theirs, mount_by_names(stack));
        _exit(0);
    }
    fd_close(&theirs);
    r = helper_receive(ours, ret_fd);
    if (r == -ETIMEDOUT)
        (void)kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return r;
}

/* One layer and nothing above it needs no overlay: the directory itself, read-only. */
static int mount_single(const char *layer, int userns_fd, int *ret_fd)
{
    int fd = clone_mapped(layer, userns_fd);

    if (fd < 0)
        return fd;
    *ret_fd = fd;
    return 0;
}

int rootfs_mount(char *const *layers, size_t layers_count, const char *upper, const char *work,
                 int userns_fd, const char *label, int *ret_fd, Failure *why)
{
    Stack stack = {layers, layers_count, upper, work, userns_fd, label};
    int r = -EINVAL;

    if (layers_count == 0 || layers_count > LAYERS_MAX)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "an image of %zu layers cannot be mounted, from 1 to %d can",
                           layers_count, LAYERS_MAX);
    if (layers_count == 1 && !upper && !*label) {
        r = mount_single(layers[0], userns_fd, ret_fd);
    } else {
        if (userns_fd < 0 && stack_is_plain(&stack))
            r = mount_by_options(&stack, ret_fd);
        /* A kernel before 6.5, names that fsconfig(2) does not take, or layers that have to be
         * mounts of their own. */
        if (r == -EINVAL)
            r = mount_in_helper(&stack, ret_fd);
    }
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot mount the %zu layers of the image",
                           layers_count);
    return 0;
}
