/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "podmon/labels.h"
#include "podmon/podinit.h"
#include "podmon/relabel.h"
#include "podmon/sysctl.h"
#include "podmon/userns.h"
#include "shared/cleanup.h"
#include "shared/fd.h"
#include "shared/file.h"
#include "shared/layout.h"
#include "shared/text.h"

enum {
    CHILD_TIMEOUT_MS = 10000,
    HOSTS_MAX = 1024 * 1024,
    HOSTNAME_MAX = 64,
    UNMOUNTS_MAX = 16,
};

/* The namespaces that are pinned, by mode of the spec. */
typedef struct Pin {
    const char *name;   /* in the pod's directory */
    const char *source; /* in /proc/PID/ns of the child that has it */
    size_t offset;      /* of the descriptor in Sandbox */
    uint64_t flag;
} Pin;

static const Pin pins[] = {
    {LAYOUT_NETNS, "net", offsetof(Sandbox, netns_fd), CLONE_NEWNET},
    {LAYOUT_IPCNS, "ipc", offsetof(Sandbox, ipcns_fd), CLONE_NEWIPC},
    {LAYOUT_UTSNS, "uts", offsetof(Sandbox, utsns_fd), CLONE_NEWUTS},
    {LAYOUT_USERNS, "user", offsetof(Sandbox, userns_fd), CLONE_NEWUSER},
};

#define PINS_COUNT (sizeof(pins) / sizeof(pins[0]))

static bool has_own(const Podmon__PodSpec *spec, uint64_t flag)
{
    const Podmon__Namespaces *namespaces = spec->namespaces;
    Podmon__NamespaceMode mode = PODMON__NAMESPACE_MODE__NAMESPACE_POD;

    /* A hostname of one's own comes with a network of one's own. */
    if (flag == CLONE_NEWUSER)
        return userns_is_own(namespaces);
    if (namespaces && (flag == CLONE_NEWNET || flag == CLONE_NEWUTS))
        mode = namespaces->network;
    if (namespaces && flag == CLONE_NEWIPC)
        mode = namespaces->ipc;
    return mode != PODMON__NAMESPACE_MODE__NAMESPACE_NODE;
}

static int *pin_fd(Sandbox *sandbox, const Pin *pin)
{
    return (int *)(void *)((char *)sandbox + pin->offset);
}

/* ---- the child that has the namespaces for a moment */

static int bring_loopback_up(void)
{
    AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

    return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
}

/* The host's root is nobody in a user namespace of the pod's, and the kernel asks the owner of a
 * setting who that is. */
static int become_root_here(void)
{
    return setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0 ? -errno : 0;
}

static int fill_namespaces(const Podmon__PodSpec *spec, Failure *why)
{
    int r = has_own(spec, CLONE_NEWUSER) ? become_root_here() : 0;

    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot enter the pod's user namespace");
    if (has_own(spec, CLONE_NEWNET) && (r = bring_loopback_up()) < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot bring the loopback up");
    if (has_own(spec, CLONE_NEWUTS) && *spec->hostname &&
        sethostname(spec->hostname, strlen(spec->hostname)) < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot set hostname \"%s\"",
                           spec->hostname);
    return spec->namespaces ? sysctl_write(spec->sysctls, spec->n_sysctls, spec->namespaces, why)
                            : 0;
}

typedef struct Answer {
    int32_t result;
    Failure why;
} Answer;

/* Told to go on, it fills its namespaces and answers; it lives until the socket is closed. */
static _Noreturn void run_child(const Podmon__PodSpec *spec, int socket_fd)
{
    Answer answer = {0};
    char go;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (read(socket_fd, &go, 1) == 1) {
        answer.result = fill_namespaces(spec, &answer.why);
        if (write(socket_fd, &answer, sizeof(answer)) == (ssize_t)sizeof(answer))
            (void)!read(socket_fd, &go, 1);
    }
    _exit(0);
}

static int await_answer(int socket_fd, Failure *why)
{
    struct pollfd ready = {.fd = socket_fd, .events = POLLIN};
    Answer answer;
    int r;

    do
        r = poll(&ready, 1, CHILD_TIMEOUT_MS);
    while (r < 0 && errno == EINTR);
    if (r == 0)
        return failure_say(why, FAILURE_DEADLINE_EXCEEDED,
                           "the pod's namespaces were not ready after %d s",
                           CHILD_TIMEOUT_MS / 1000);
    if (r < 0 || read(socket_fd, &answer, sizeof(answer)) != (ssize_t)sizeof(answer))
        return failure_say(why, FAILURE_INTERNAL, "the maker of the pod's namespaces was killed");
    if (answer.result < 0 && why)
        *why = answer.why;
    return answer.result;
}

/* Bound onto a file of the pod's directory, a namespace outlives everybody in it. */
static int pin_namespace(const Pin *pin, pid_t pid, int run_dir_fd)
{
    AUTO_CLOSE int file_fd =
        openat(run_dir_fd, pin->name, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    AUTO_CLOSE int fd = -1;
    char path[40];

    (void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, pin->source);
    fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (file_fd < 0 || fd < 0 ||
        move_mount(fd, "", run_dir_fd, pin->name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return -errno;
    return 0;
}

static int pin_namespaces(const Podmon__PodSpec *spec, pid_t pid, int run_dir_fd, Failure *why)
{
    for (size_t i = 0; i < PINS_COUNT; i++) {
        int r = has_own(spec, pins[i].flag) ? pin_namespace(&pins[i], pid, run_dir_fd) : 0;

        if (r < 0)
            return failure_set(why, FAILURE_INTERNAL, -r, "cannot pin %s", pins[i].name);
    }
    return 0;
}

/* A user namespace is made first and owns the others; what its ids are can only be written from
 * outside. */
static int direct_child(const Podmon__PodSpec *spec, pid_t pid, int socket_fd, int run_dir_fd,
                        Failure *why)
{
    int r = has_own(spec, CLONE_NEWUSER) ? userns_write_mappings(spec->namespaces, pid) : 0;

    if (r < 0)
        return failure_set(why, FAILURE_FAILED_PRECONDITION, -r,
                           "cannot map the ids of the pod's user namespace");
    if (write(socket_fd, "", 1) != 1)
        return failure_say(why, FAILURE_INTERNAL, "the maker of the pod's namespaces was killed");
    r = await_answer(socket_fd, why);
    return r < 0 ? r : pin_namespaces(spec, pid, run_dir_fd, why);
}

static int make_namespaces(const Podmon__PodSpec *spec, int run_dir_fd, Failure *why)
{
    struct clone_args arguments = {.exit_signal = SIGCHLD};
    AUTO_CLOSE int ours = -1;
    AUTO_CLOSE int theirs = -1;
    int pair[2], r;
    pid_t pid;

    for (size_t i = 0; i < PINS_COUNT; i++)
        if (has_own(spec, pins[i].flag))
            arguments.flags |= pins[i].flag;
    if (arguments.flags == 0)
        return 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot make a socket");
    ours = pair[0];
    theirs = pair[1];
    pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
    if (pid < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot make the pod's namespaces");
    if (pid == 0) {
        fd_close(&ours);
        run_child(spec, theirs);
    }
    fd_close(&theirs);
    r = direct_child(spec, pid, ours, run_dir_fd, why);
    (void)kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return r;
}

/* ---- files and shm */

static int check_spec(const Podmon__PodSpec *spec, Failure *why)
{
    char path[PATH_MAX];
    size_t length = strlen(spec->hostname);

    if (length > HOSTNAME_MAX || !text_is_printable(spec->hostname) ||
        strpbrk(spec->hostname, " \t#"))
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "hostname \"%.200s\" is not one",
                           spec->hostname);
    for (size_t i = 0; spec->namespaces && i < spec->n_sysctls; i++) {
        int r = sysctl_check(spec->sysctls[i], spec->namespaces, path, why);

        if (r < 0)
            return r;
    }
    return 0;
}

static int mount_shm(const Podmon__PodSpec *spec, int run_dir_fd)
{
    AUTO_CLOSE int fs_fd = fsopen("tmpfs", FSOPEN_CLOEXEC);
    AUTO_CLOSE int fd = -1;
    char size[32], uid[16], gid[16];
    Labels labels;

    if (labels_of(spec, NULL, &labels, NULL) < 0)
        return -EINVAL;
    (void)snprintf(uid, sizeof(uid), "%u", userns_host_uid(spec->namespaces, 0));
    (void)snprintf(gid, sizeof(gid), "%u", userns_host_gid(spec->namespaces, 0));
    (void)snprintf(size, sizeof(size), "%lld",
                   (long long)(spec->shm_size > 0 ? spec->shm_size : 64LL * 1024 * 1024));
    if (mkdirat(run_dir_fd, LAYOUT_SHM, 0700) < 0 && errno != EEXIST)
        return -errno;
    if (fs_fd < 0 || fsconfig(fs_fd, FSCONFIG_SET_STRING, "mode", "1777", 0) < 0 ||
        fsconfig(fs_fd, FSCONFIG_SET_STRING, "size", size, 0) < 0 ||
        fsconfig(fs_fd, FSCONFIG_SET_STRING, "uid", uid, 0) < 0 ||
        fsconfig(fs_fd, FSCONFIG_SET_STRING, "gid", gid, 0) < 0 ||
        (*labels.file && fsconfig(fs_fd, FSCONFIG_SET_STRING, "context", labels.file, 0) < 0) ||
        fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -errno;
    fd = fsmount(fs_fd, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    if (fd < 0 || move_mount(fd, "", run_dir_fd, LAYOUT_SHM, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return -errno;
    return 0;
}

/* Read by everybody in the containers; the directory above keeps the host's users out. */
static int write_file(const Podmon__PodSpec *spec, int run_dir_fd, const char *name,
                      const void *data, size_t size, Failure *why)
{
    AUTO_CLOSE int fd = -1;
    Labels labels;
    int r = labels_of(spec, NULL, &labels, why);

    if (r < 0)
        return r;
    r = file_write_at(run_dir_fd, name, data, size, 0644, FILE_SYNC_NO);
    if (r >= 0 && *labels.file) {
        fd = openat(run_dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        r = fd < 0 ? -errno : relabel_file(fd, labels.file);
    }
    return r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot write the pod's %s", name) : 0;
}

static int write_files(const Podmon__PodSpec *spec, int run_dir_fd, Failure *why)
{
    char own[HOSTNAME_MAX + 1] = "";
    char line[HOSTNAME_MAX + 2];
    int length, r;

    if (!*spec->hostname && gethostname(own, sizeof(own) - 1) < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot read the host's name");
    length = snprintf(line, sizeof(line), "%s\n", *spec->hostname ? spec->hostname : own);
    r = write_file(spec, run_dir_fd, LAYOUT_HOSTNAME, line, (size_t)length, why);
    if (r < 0)
        return r;
    return write_file(spec, run_dir_fd, LAYOUT_RESOLV_CONF, spec->resolv_conf.data,
                      spec->resolv_conf.len, why);
}

static int add_host_lines(const Podmon__PodSpec *spec, char *const *addresses, Text *text,
                          Failure *why)
{
    int r = text_add(text,
                     "127.0.0.1\tlocalhost\n"
                     "::1\tlocalhost ip6-localhost ip6-loopback\n"
                     "fe00::0\tip6-localnet\n"
                     "ff00::0\tip6-mcastprefix\n"
                     "ff02::1\tip6-allnodes\n"
                     "ff02::2\tip6-allrouters\n");

    for (; r >= 0 && addresses && *addresses; addresses++) {
        if ((*addresses)[strspn(*addresses, "0123456789abcdefABCDEF.:")])
            return failure_say(why, FAILURE_INTERNAL, "\"%.100s\" is not an address", *addresses);
        if (*spec->hostname)
            r = text_print(text, "%s\t%s\n", *addresses, spec->hostname);
    }
    return r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot write the pod's hosts") : 0;
}

int sandbox_write_hosts(const Podmon__PodSpec *spec, int run_dir_fd, char *const *addresses,
                        Failure *why)
{
    CLEANUP(text_done) Text text = {0};
    AUTO_FREE char *host = NULL;
    size_t size = 0;
    int r;

    if (!has_own(spec, CLONE_NEWNET) &&
        file_read_at(AT_FDCWD, "/etc/hosts", HOSTS_MAX, &host, &size) >= 0)
        return write_file(spec, run_dir_fd, LAYOUT_HOSTS, host, size, why);
    r = add_host_lines(spec, addresses, &text, why);
    return r < 0 ? r : write_file(spec, run_dir_fd, LAYOUT_HOSTS, text.data, text.size, why);
}

/* ---- the whole */

static int open_pins(const Podmon__PodSpec *spec, int run_dir_fd, Sandbox *sandbox)
{
    for (size_t i = 0; i < PINS_COUNT; i++) {
        int *fd = pin_fd(sandbox, &pins[i]);

        if (!has_own(spec, pins[i].flag))
            continue;
        *fd = openat(run_dir_fd, pins[i].name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (*fd < 0 && errno != ENOENT)
            return -errno;
    }
    return 0;
}

static int create(const Podmon__PodSpec *spec, int run_dir_fd, const char *run_path,
                  const char *init_cgroup, Sandbox *sandbox, Failure *why)
{
    int r = check_spec(spec, why);

    if (r < 0 || (r = write_files(spec, run_dir_fd, why)) < 0 ||
        (r = make_namespaces(spec, run_dir_fd, why)) < 0)
        return r;
    r = open_pins(spec, run_dir_fd, sandbox);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot open the pod's namespaces");
    if (has_own(spec, CLONE_NEWIPC)) {
        r = mount_shm(spec, run_dir_fd);
        if (r < 0)
            return failure_set(why, FAILURE_INTERNAL, -r, "cannot mount the pod's /dev/shm");
    }
    if (spec->namespaces && spec->namespaces->pid == PODMON__NAMESPACE_MODE__NAMESPACE_POD)
        return podinit_start(spec, sandbox, run_path, init_cgroup, why);
    return 0;
}

int sandbox_create(const Podmon__PodSpec *spec, int run_dir_fd, const char *run_path,
                   const char *init_cgroup, Sandbox *ret, Failure *why)
{
    Sandbox sandbox = SANDBOX_EMPTY;
    int r = create(spec, run_dir_fd, run_path, init_cgroup, &sandbox, why);

    if (r < 0) {
        /* The first failure is the one to tell. */
        (void)sandbox_destroy(&sandbox, run_dir_fd, NULL);
        return r;
    }
    *ret = sandbox;
    return 0;
}

int sandbox_restore(const Podmon__PodSpec *spec, int run_dir_fd,
                    const Podmon__ProcessIdentity *init, Sandbox *ret, Failure *why)
{
    Sandbox sandbox = SANDBOX_EMPTY;
    int r = open_pins(spec, run_dir_fd, &sandbox);

    if (r >= 0 && init && init->pid > 0)
        r = podinit_find(&sandbox, init);
    if (r < 0) {
        sandbox_done(&sandbox);
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot open the pod's namespaces");
    }
    *ret = sandbox;
    return 0;
}

/* Whatever was mounted there, as often as it was. The name is one of ours, below our directory. */
static int unmount_at(int run_dir_fd, const char *name)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", run_dir_fd, name);
    for (int i = 0; i < UNMOUNTS_MAX; i++)
        if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
            return errno == EINVAL || errno == ENOENT ? 0 : -errno;
    return -EBUSY;
}

int sandbox_destroy(Sandbox *sandbox, int run_dir_fd, Failure *why)
{
    static const struct {
        const char *name;
        bool is_mount;
        int flags;
    } entries[] = {
        {LAYOUT_NETNS, true, 0},  {LAYOUT_IPCNS, true, 0},          {LAYOUT_UTSNS, true, 0},
        {LAYOUT_USERNS, true, 0}, {LAYOUT_SHM, true, AT_REMOVEDIR}, {LAYOUT_HOSTNAME, false, 0},
        {LAYOUT_HOSTS, false, 0}, {LAYOUT_RESOLV_CONF, false, 0},
    };
    int first = 0;

    podinit_stop(sandbox);
    sandbox_done(sandbox);
    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
        int r = entries[i].is_mount ? unmount_at(run_dir_fd, entries[i].name) : 0;

        if (r >= 0 && unlinkat(run_dir_fd, entries[i].name, entries[i].flags) < 0 &&
            errno != ENOENT)
            r = -errno;
        if (r < 0 && first == 0)
            first = failure_set(why, FAILURE_INTERNAL, -r, "cannot remove the pod's %s",
                                entries[i].name);
    }
    return first;
}

void sandbox_done(Sandbox *sandbox)
{
    fd_close(&sandbox->netns_fd);
    fd_close(&sandbox->ipcns_fd);
    fd_close(&sandbox->utsns_fd);
    fd_close(&sandbox->userns_fd);
    fd_close(&sandbox->pidns_fd);
    fd_close(&sandbox->init_pidfd);
    sandbox->init_pid = 0;
}
