/* SPDX-License-Identifier: Apache-2.0 */
/* For tests that run real containers: a directory with an image of busybox, a pod's directory and
 * a spec with the usual mounts, in a mount namespace of the test program's own, so that whatever
 * goes wrong is gone with the process. Needs root and Debian's busybox-static. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "podmon/rootfs.h"
#include "podmon/sandbox.h"
#include "podmon/spawn.h"
#include "shared/cleanup.h"
#include "shared/fd.h"
#include "shared/file.h"

#define BOX_BUSYBOX "/bin/busybox"

enum {
    BOX_MOUNTS_MAX = 64,
    BOX_OUTPUT_MAX = 64 * 1024,
    BOX_TIMEOUT_MS = 20000,
};

/* All zero and then box_open. The specs may be changed before box_run. */
typedef struct Box {
    char base[64], layer[96], upper[96], work[96], run[96], canary[96];
    int run_fd;
    int root_fd;
    Podmon__PodSpec pod;
    Podmon__Namespaces pod_namespaces, namespaces;
    Podmon__ContainerSpec spec;
    Podmon__SecurityPlan security;
    Podmon__UserPlan user;
    Podmon__Mount mounts[BOX_MOUNTS_MAX];
    Podmon__Mount *mount_list[BOX_MOUNTS_MAX];
    char *layers[1];
    char *argv[4];
    char *env[4];
    char *masked[8], *read_only[4];
    Sandbox sandbox;
    SpawnContext context;
    Identity identity;
    SpawnedProcess process;
    char output[BOX_OUTPUT_MAX];
    Failure why;
} Box;

static inline char *box_text(const char *text)
{
    return (char *)(uintptr_t)text;
}

static inline bool box_is_possible(void)
{
    return geteuid() == 0 && access(BOX_BUSYBOX, X_OK) == 0;
}

static inline int box_write(const char *base, const char *name, const char *text)
{
    char path[PATH_MAX];
    int fd, r;

    (void)snprintf(path, sizeof(path), "%s/%s", base, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    r = fd_write_all(fd, text, strlen(text));
    (void)close(fd);
    return r;
}

static inline int box_read(const char *base, const char *name, char *ret, size_t size)
{
    char path[PATH_MAX];
    ssize_t length;
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", base, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    length = fd < 0 ? -errno : fd_read_all(fd, ret, size - 1);
    if (fd >= 0)
        (void)close(fd);
    ret[length > 0 ? length : 0] = '\0';
    return length < 0 ? (int)length : 0;
}

static inline int box_mkdir(const char *base, const char *name, char *ret, size_t size)
{
    (void)snprintf(ret, size, "%s/%s", base, name);
    return mkdir(ret, 0755) < 0 ? -errno : 0;
}

/* Links the applets the tests use to one copy of busybox. */
static inline int box_make_image(Box *box)
{
    static const char *const applets[] = {
        "sh",   "ls",       "cat",   "id",   "mount", "hostname", "echo", "sleep", "grep",
        "stat", "readlink", "touch", "rm",   "mkdir", "ps",       "env",  "wc",    "tty",
        "pwd",  "mknod",    "ip",    "true", "ln",    "chmod",    "sort"};
    char path[160], data[4096];
    int from, to;
    ssize_t size;

    if (box_mkdir(box->layer, "bin", path, sizeof(path)) < 0 ||
        box_mkdir(box->layer, "etc", path, sizeof(path)) < 0 ||
        box_mkdir(box->layer, "tmp", path, sizeof(path)) < 0)
        return -1;
    (void)snprintf(path, sizeof(path), "%s/bin/busybox", box->layer);
    from = open(BOX_BUSYBOX, O_RDONLY | O_CLOEXEC);
    to = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    while (from >= 0 && to >= 0 && (size = read(from, data, sizeof(data))) > 0)
        if (fd_write_all(to, data, (size_t)size) < 0)
            return -1;
    (void)close(from);
    (void)close(to);
    for (size_t i = 0; i < sizeof(applets) / sizeof(applets[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/bin/%s", box->layer, applets[i]);
        if (symlink("busybox", path) < 0)
            return -1;
    }
    return box_write(box->layer, "etc/passwd",
                     "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n") < 0 ||
                   box_write(box->layer, "etc/group",
                             "root:x:0:\nuser:x:1000:\nwheel:x:10:user,root\n") < 0
               ? -1
               : 0;
}

static inline Podmon__Mount *box_mount(Box *box, Podmon__MountKind kind, const char *destination,
                                       const char *source)
{
    Podmon__Mount *mount = &box->mounts[box->spec.n_mounts];

    podmon__mount__init(mount);
    mount->kind = kind;
    mount->destination = box_text(destination);
    mount->source = box_text(source);
    mount->no_suid = true;
    box->mount_list[box->spec.n_mounts++] = mount;
    box->spec.mounts = box->mount_list;
    return mount;
}

static inline void box_add_mounts(Box *box)
{
    static const struct {
        Podmon__MountKind kind;
        const char *destination, *source;
        bool read_only;
    } mounts[] = {
        {PODMON__MOUNT_KIND__MOUNT_PROC, "/proc", "", false},
        {PODMON__MOUNT_KIND__MOUNT_DEV, "/dev", "", false},
        {PODMON__MOUNT_KIND__MOUNT_DEVPTS, "/dev/pts", "", false},
        {PODMON__MOUNT_KIND__MOUNT_SHM, "/dev/shm", "", false},
        {PODMON__MOUNT_KIND__MOUNT_MQUEUE, "/dev/mqueue", "", false},
        {PODMON__MOUNT_KIND__MOUNT_SYSFS, "/sys", "", true},
        {PODMON__MOUNT_KIND__MOUNT_CGROUP, "/sys/fs/cgroup", "", true},
        {PODMON__MOUNT_KIND__MOUNT_POD_FILE, "/etc/hostname", "hostname", false},
        {PODMON__MOUNT_KIND__MOUNT_POD_FILE, "/etc/hosts", "hosts", false},
    };

    for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
        Podmon__Mount *mount =
            box_mount(box, mounts[i].kind, mounts[i].destination, mounts[i].source);

        mount->read_only = mounts[i].read_only;
        /* A nosuid devpts or tmpfs is usual; device nodes must work. */
        mount->no_exec = mounts[i].kind == PODMON__MOUNT_KIND__MOUNT_PROC;
    }
}

static inline void box_fill_specs(Box *box)
{
    podmon__pod_spec__init(&box->pod);
    podmon__namespaces__init(&box->pod_namespaces);
    podmon__namespaces__init(&box->namespaces);
    podmon__container_spec__init(&box->spec);
    podmon__security_plan__init(&box->security);
    podmon__user_plan__init(&box->user);
    box->pod.hostname = box_text("box");
    box->pod.namespaces = &box->pod_namespaces;
    box->pod_namespaces.pid = PODMON__NAMESPACE_MODE__NAMESPACE_CONTAINER;
    box->pod_namespaces.user = PODMON__NAMESPACE_MODE__NAMESPACE_NODE;
    box->namespaces = box->pod_namespaces;
    box->spec.namespaces = &box->namespaces;
    box->spec.security = &box->security;
    box->spec.user = &box->user;
    box->spec.argv = box->argv;
    box->spec.env = box->env;
    box->spec.n_env = 1;
    box->env[0] = box_text("PATH=/sbin:/bin");
    box->layers[0] = box->layer;
    box->spec.layers = box->layers;
    box->spec.n_layers = 1;
    box->security.capabilities = 0xa80425fb; /* what containerd and Docker give by default */
    box_add_mounts(box);
}

/* False: the case cannot go on; the reason was printed. */
static inline bool box_open(Box *box)
{
    static bool is_private;

    *box = (Box){.run_fd = -1, .root_fd = -1, .sandbox = SANDBOX_EMPTY};
    box->process.pidfd = box->process.outcome_fd = box->process.tty_fd = -1;
    if (!is_private &&
        (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0))
        return false;
    is_private = true;
    (void)snprintf(box->base, sizeof(box->base), "/tmp/podmon-box-XXXXXX");
    if (!mkdtemp(box->base) || mount("box", box->base, "tmpfs", 0, "mode=0755") < 0 ||
        box_mkdir(box->base, "layer", box->layer, sizeof(box->layer)) < 0 ||
        box_mkdir(box->base, "upper", box->upper, sizeof(box->upper)) < 0 ||
        box_mkdir(box->base, "work", box->work, sizeof(box->work)) < 0 ||
        box_mkdir(box->base, "run", box->run, sizeof(box->run)) < 0 ||
        box_mkdir(box->base, "canary", box->canary, sizeof(box->canary)) < 0 ||
        box_write(box->canary, "file", "alive\n") < 0 || box_make_image(box) < 0) {
        printf("  cannot make %s: %s\n", box->base, strerror(errno));
        return false;
    }
    box->run_fd = open(box->run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    box_fill_specs(box);
    return box->run_fd >= 0;
}

/* Makes sandbox, hosts and root. */
static inline int box_prepare(Box *box)
{
    char *addresses[] = {box_text("192.0.2.7"), NULL};
    int r = sandbox_create(&box->pod, box->run_fd, box->run, NULL, &box->sandbox, &box->why);

    if (r >= 0)
        r = sandbox_write_hosts(&box->pod, box->run_fd, addresses, &box->why);
    if (r >= 0)
        r = rootfs_mount(box->spec.layers, box->spec.n_layers, box->upper, box->work, -1, "",
                         &box->root_fd, &box->why);
    if (r >= 0)
        r = identity_read(&box->user, box->root_fd, &box->identity, &box->why);
    box->context = (SpawnContext){
        .pod = &box->pod, .sandbox = &box->sandbox, .run_path = box->run, .target_pidns_fd = -1};
    return r;
}

/* Starts a plan and waits for its outcome: 1, or what failed. */
static inline int box_start_plan(Box *box, SpawnPlan *plan, SpawnedProcess *process)
{
    struct pollfd ready = {.events = POLLIN};
    int r = spawn_start(plan, process, &box->why);

    if (r < 0)
        return r;
    ready.fd = process->outcome_fd;
    if (poll(&ready, 1, BOX_TIMEOUT_MS) != 1)
        return -ETIMEDOUT;
    return spawn_read_outcome(process, &box->why);
}

/* The exit status, or 128 and the signal. */
static inline int box_wait(SpawnedProcess *process)
{
    struct pollfd ended = {.fd = process->pidfd, .events = POLLIN};
    siginfo_t state = {0};

    if (poll(&ended, 1, BOX_TIMEOUT_MS) != 1)
        (void)fd_signal(process->pidfd, SIGKILL);
    if (waitid(P_PIDFD, (id_t)process->pidfd, &state, WEXITED) < 0)
        return -errno;
    fd_close(&process->pidfd);
    fd_close(&process->outcome_fd);
    fd_close(&process->tty_fd);
    return state.si_code == CLD_EXITED ? state.si_status : 128 + state.si_status;
}

static inline void box_read_output(Box *box, int fd)
{
    ssize_t size = fd_read_all(fd, box->output, sizeof(box->output) - 1);

    box->output[size > 0 ? size : 0] = '\0';
}

/* Runs `script` as the container's first process; its exit status, with what it printed (both
 * streams) in box->output, or < 0 with box->why when it did not start. */
static inline int box_run(Box *box, const char *script)
{
    SpawnPlan *plan = NULL;
    SpawnStdio stdio = {.tty = -1};
    int ends[2], r;

    if (box->root_fd < 0 && (r = box_prepare(box)) < 0)
        return r;
    box->argv[0] = box_text("/bin/sh");
    box->argv[1] = box_text("-c");
    box->argv[2] = box_text(script);
    box->spec.n_argv = 3;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    stdio.in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    stdio.out = stdio.err = ends[1];
    r = spawn_plan_container(&box->context, &box->spec, &box->identity, box->root_fd, &stdio, &plan,
                             &box->why);
    if (r >= 0)
        r = box_start_plan(box, plan, &box->process);
    (void)spawn_plan_free(plan);
    (void)close(ends[1]);
    (void)close(stdio.in);
    box_read_output(box, ends[0]);
    (void)close(ends[0]);
    if (r < 0) {
        if (box->process.pidfd >= 0)
            (void)box_wait(&box->process);
        return r;
    }
    return box_wait(&box->process);
}

/* Starts it and lets it run; its output is nobody's. */
static inline int box_start(Box *box, const char *script)
{
    SpawnPlan *plan = NULL;
    SpawnStdio stdio = {.tty = -1};
    int r, null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (box->root_fd < 0 && (r = box_prepare(box)) < 0)
        return r;
    box->argv[0] = box_text("/bin/sh");
    box->argv[1] = box_text("-c");
    box->argv[2] = box_text(script);
    box->spec.n_argv = 3;
    stdio.in = stdio.out = stdio.err = null;
    r = spawn_plan_container(&box->context, &box->spec, &box->identity, box->root_fd, &stdio, &plan,
                             &box->why);
    if (r >= 0)
        r = box_start_plan(box, plan, &box->process);
    (void)spawn_plan_free(plan);
    (void)close(null);
    return r;
}

/* Runs one more process in the container that box_start left running. */
static inline int box_exec(Box *box, char *const *argv)
{
    SpawnExec exec = {
        .argv = argv, .target_pidfd = box->process.pidfd, .target_pid = box->process.pid};
    SpawnedProcess process = {.pidfd = -1, .outcome_fd = -1, .tty_fd = -1};
    SpawnStdio stdio = {.tty = -1};
    SpawnPlan *plan = NULL;
    int ends[2], r;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    stdio.in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    stdio.out = stdio.err = ends[1];
    r = spawn_plan_exec(&box->context, &box->spec, &box->identity, &exec, &stdio, &plan, &box->why);
    if (r >= 0)
        r = box_start_plan(box, plan, &process);
    (void)spawn_plan_free(plan);
    (void)close(ends[1]);
    (void)close(stdio.in);
    box_read_output(box, ends[0]);
    (void)close(ends[0]);
    if (r < 0) {
        if (process.pidfd >= 0)
            (void)box_wait(&process);
        return r;
    }
    return box_wait(&process);
}

/* Kills what runs, and takes everything away. 0 when nothing was left over. */
static inline int box_close(Box *box)
{
    int r = 0;

    if (box->process.pidfd >= 0) {
        (void)fd_signal(box->process.pidfd, SIGKILL);
        (void)box_wait(&box->process);
    }
    fd_close(&box->root_fd);
    if (box->run_fd >= 0)
        r = sandbox_destroy(&box->sandbox, box->run_fd, &box->why);
    fd_close(&box->run_fd);
    if (*box->run && rmdir(box->run) < 0)
        r = -errno;
    /* A tmpfs that nothing holds any more. */
    if (umount2(box->base, 0) < 0)
        r = -errno;
    (void)umount2(box->base, MNT_DETACH);
    (void)rmdir(box->base);
    return r;
}
