/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/podinit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "podmon/attach.h"
#include "podmon/capabilities.h"
#include "podmon/cgroup.h"
#include "podmon/initimage.h"
#include "podmon/labels.h"
#include "podmon/lsm.h"
#include "podmon/relabel.h"
#include "shared/cleanup.h"
#include "shared/fd.h"
#include "shared/file.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* linux/memfd.h, Linux 6.3 */
#endif

enum {
    INIT_ID = 65535, /* the user and group that nobody else is */
    TIMEOUT_MS = 10000,
};

typedef struct Birth {
    const Sandbox *sandbox;
    const CgroupEntry *cgroup;
    const char *run_path;
    const CapabilitySets *capabilities;
    const char *file_label;
    LsmPlan lsm;
    int image_fd;
    int report_fd;
} Birth;

static int join(int fd, int type)
{
    return fd >= 0 && setns(fd, type) < 0 ? -errno : 0;
}

/* In the child; like stage 2 of a container, but for a program that needs nothing. */
static int become_init(const Birth *birth)
{
    const Identity nobody = {.uid = INIT_ID, .gid = INIT_ID};
    const Sandbox *sandbox = birth->sandbox;
    char *const argv[] = {(char *)(uintptr_t) "init", NULL};
    char *const env[] = {NULL};
    int label_fd = -1, r;

    if ((r = cgroup_entry_join(birth->cgroup)) < 0 || (r = lsm_open(&birth->lsm, &label_fd)) < 0)
        return r;
    if (prctl(PR_SET_DUMPABLE, 0) < 0)
        return -errno;
    if ((r = join(sandbox->netns_fd, CLONE_NEWNET)) < 0 ||
        (r = join(sandbox->ipcns_fd, CLONE_NEWIPC)) < 0 ||
        (r = join(sandbox->utsns_fd, CLONE_NEWUTS)) < 0 ||
        (r = attach_nothing(birth->run_path, birth->file_label)) < 0 ||
        (r = lsm_apply(&birth->lsm, label_fd)) < 0)
        return r;
    if (setsid() < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    if ((r = capabilities_become(birth->capabilities, &nobody)) < 0)
        return r;
    for (int i = 0; i < 3; i++)
        (void)close(i);
    if (syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
        return -errno;
    (void)syscall(SYS_execveat, birth->image_fd, "", argv, env, AT_EMPTY_PATH);
    return -errno;
}

static pid_t give_birth(const Birth *birth, int *ret_pidfd)
{
    struct clone_args arguments = {
        .flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_PIDFD,
        .pidfd = (uint64_t)(uintptr_t)ret_pidfd,
        .exit_signal = SIGCHLD,
    };
    pid_t pid;
    int32_t error;

    if (birth->cgroup->into_fd >= 0) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = (unsigned int)birth->cgroup->into_fd;
    }
    pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
    if (pid != 0)
        return pid;
    error = -become_init(birth);
    (void)!write(birth->report_fd, &error, sizeof(error));
    _exit(127);
}

/* A process that could neither execute the program nor say so closes the pipe as well; by then it
 * has lost its memory, and so its executable (exit_mm comes before exit_files, Linux 6.18). */
static int check_program(pid_t pid)
{
    static const char name[] = "/memfd:init ";
    char path[32], target[64];
    ssize_t size;

    (void)snprintf(path, sizeof(path), "/proc/%d/exe", pid);
    size = readlink(path, target, sizeof(target));
    return size > (ssize_t)sizeof(name) && memcmp(target, name, sizeof(name) - 1) == 0 ? 0
                                                                                       : -ENOEXEC;
}

/* 0 once the program runs: the pipe closes without a word. */
static int await_program(int read_fd, pid_t pid)
{
    struct pollfd ready = {.fd = read_fd, .events = POLLIN};
    int32_t error = 0;
    ssize_t size;
    int r;

    do
        r = poll(&ready, 1, TIMEOUT_MS);
    while (r < 0 && errno == EINTR);
    if (r <= 0)
        return r < 0 ? -errno : -ETIMEDOUT;
    size = read(read_fd, &error, sizeof(error));
    if (size == 0)
        return check_program(pid);
    return size == (ssize_t)sizeof(error) ? -error : -EIO;
}

static int open_pidns(pid_t pid)
{
    char path[32];
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Unlike fd_sealed_memory's, this one is to be executed. */
static int open_image(const char *label)
{
    AUTO_CLOSE int fd = memfd_create("init", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    int r;

    /* A kernel before 6.3 has no memory files of another kind. */
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create("init", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    r = fd_write_all(fd, initimage_data(), initimage_size());
    if (r >= 0)
        r = relabel_file(fd, label);
    if (r < 0)
        return r;
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return -errno;
    return take_fd(&fd);
}

static int start(Sandbox *sandbox, const char *run_path, const CgroupEntry *cgroup,
                 const Labels *labels, const LsmPlan *lsm)
{
    AUTO_CLOSE int image_fd = open_image(labels->file);
    AUTO_CLOSE int read_fd = -1;
    AUTO_CLOSE int write_fd = -1;
    Podmon__SecurityPlan nothing = PODMON__SECURITY_PLAN__INIT;
    CapabilitySets capabilities = capabilities_plan(&nothing, 0);
    Birth birth = {sandbox, cgroup, run_path, &capabilities, labels->file, *lsm, image_fd, -1};
    int ends[2], r;

    if (image_fd < 0)
        return image_fd;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    read_fd = ends[0];
    birth.report_fd = write_fd = ends[1];
    sandbox->init_pid = give_birth(&birth, &sandbox->init_pidfd);
    if (sandbox->init_pid < 0) {
        sandbox->init_pid = 0;
        return -errno;
    }
    fd_close(&write_fd);
    r = await_program(read_fd, sandbox->init_pid);
    if (r < 0)
        return r;
    sandbox->pidns_fd = open_pidns(sandbox->init_pid);
    return sandbox->pidns_fd < 0 ? sandbox->pidns_fd : 0;
}

int podinit_start(const Podmon__PodSpec *spec, Sandbox *sandbox, const char *run_path,
                  const char *cgroup, Failure *why)
{
    CLEANUP(cgroup_entry_done) CgroupEntry entry = {.into_fd = -1};
    Labels labels;
    LsmPlan lsm;
    int r = labels_of(spec, NULL, &labels, why);

    if (r >= 0)
        r = lsm_prepare(spec, NULL, &lsm, why);
    if (r >= 0 && cgroup)
        r = cgroup_entry_open(cgroup, &entry, why);
    if (r < 0)
        return r;
    r = start(sandbox, run_path, &entry, &labels, &lsm);
    if (r < 0) {
        podinit_stop(sandbox);
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot start the pod's init");
    }
    return 0;
}

/* Field 22 of /proc/PID/stat; the second, the program's name, may hold anything but a last ')'. */
static int read_start_time(pid_t pid, uint64_t *ret)
{
    AUTO_FREE char *text = NULL;
    const char *field;
    char path[32];
    int r;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    r = file_read_virtual_at(AT_FDCWD, path, 4096, &text, NULL);
    if (r < 0)
        return r;
    field = strrchr(text, ')');
    for (int i = 2; field && i < 22; i++)
        field = strchr(field + 1, ' ');
    if (!field)
        return -EBADMSG;
    *ret = strtoull(field, NULL, 10);
    return 0;
}

int podinit_find(Sandbox *sandbox, const Podmon__ProcessIdentity *init)
{
    AUTO_CLOSE int pidfd = fd_open_pid(init->pid);
    uint64_t start_time = 0;
    int pidns_fd;

    if (pidfd < 0)
        return pidfd == -ESRCH ? 0 : pidfd;
    if (read_start_time(init->pid, &start_time) < 0 || start_time != init->start_time)
        return 0;
    pidns_fd = open_pidns(init->pid);
    /* −ENOENT of a process that has just ended. */
    if (pidns_fd < 0)
        return pidns_fd == -ENOENT || pidns_fd == -ESRCH ? 0 : pidns_fd;
    sandbox->pidns_fd = pidns_fd;
    sandbox->init_pidfd = take_fd(&pidfd);
    sandbox->init_pid = init->pid;
    return 0;
}

void podinit_stop(Sandbox *sandbox)
{
    struct pollfd ended = {.fd = sandbox->init_pidfd, .events = POLLIN};
    siginfo_t state;

    if (sandbox->init_pidfd < 0)
        return;
    if (fd_signal(sandbox->init_pidfd, SIGKILL) >= 0)
        (void)poll(&ended, 1, TIMEOUT_MS);
    /* A podmon that came later is not its parent, and has nothing to reap. */
    (void)waitid(P_PIDFD, (id_t)sandbox->init_pidfd, &state, WEXITED | WNOHANG);
    fd_close(&sandbox->init_pidfd);
    fd_close(&sandbox->pidns_fd);
    sandbox->init_pid = 0;
}
