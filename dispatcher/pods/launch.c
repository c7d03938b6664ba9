/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/pods/launch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "shared/channel.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/file.h"
#include "shared/id.h"
#include "shared/layout.h"
#include "shared/record.h"

enum {
    LAUNCH_BACKLOG = 128,
    LAUNCH_FD_FIRST_FREE = LAYOUT_FD_KEPT + LAYOUT_KEPT_MAX,
    COLLECT_ARGUMENTS_MAX = 32,
};

/* What a directory's name ends with until it is whole. */
#define NEW ".new"

static int open_pods(const char *base, Failure *why)
{
    AUTO_CLOSE int base_fd = -1;
    int fd, r;

    r = file_make_directories(base, 0700);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot make the directory %s", base);
    base_fd = open(base, O_DIRECTORY | O_PATH | O_CLOEXEC);
    if (base_fd < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot open %s", base);
    fd = file_open_directory_at(base_fd, LAYOUT_PODS, 0700);
    if (fd < 0)
        return failure_set(why, FAILURE_INTERNAL, -fd, "cannot open %s/" LAYOUT_PODS, base);
    return fd;
}

/* The pod's directory appears under its name only when it is whole. */
static int create_directory(int pods_fd, const char *id, const Podmon__PodRecord *record)
{
    AUTO_CLOSE int fd = -1;
    char temporary[ID_SIZE + 8];
    int r;

    (void)snprintf(temporary, sizeof(temporary), ".%s" NEW, id);
    (void)file_delete_tree_at(pods_fd, temporary);
    r = fd = file_open_directory_at(pods_fd, temporary, 0700);
    if (r >= 0)
        r = record_write_at(fd, LAYOUT_STATE, &record->base, 0600, FILE_SYNC_NO);
    if (r >= 0 && renameat2(pods_fd, temporary, pods_fd, id, RENAME_NOREPLACE) < 0)
        r = -errno;
    if (r < 0)
        (void)file_delete_tree_at(pods_fd, temporary);
    return r;
}

int launch_create(const LaunchPaths *paths, const Podmon__PodSpec *spec, Failure *why)
{
    Podmon__PodRecord record = PODMON__POD_RECORD__INIT;
    AUTO_CLOSE int pods_fd = -1;
    char boot_id[LAYOUT_BOOT_ID_SIZE];
    int r;

    r = layout_read_boot_id(boot_id);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot read the boot id");
    pods_fd = open_pods(paths->run_dir, why);
    if (pods_fd < 0)
        return pods_fd;

    record.boot_id = boot_id;
    record.spec = (Podmon__PodSpec *)spec; /* only packed */
    record.phase = PODMON__POD_PHASE__POD_STARTING;
    record.created_at = clock_real();
    r = create_directory(pods_fd, spec->id, &record);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot make the directory of pod %s",
                           spec->id);
    return 0;
}

void launch_sweep(const LaunchPaths *paths)
{
    Failure why;
    AUTO_CLOSE int pods_fd = open_pods(paths->run_dir, &why);
    int fd = pods_fd < 0 ? -1 : openat(pods_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *item;

    if (!stream) {
        fd_close(&fd);
        return;
    }
    while ((item = readdir(stream)))
        if (item->d_name[0] == '.' && strlen(item->d_name) == 1 + ID_LENGTH + strlen(NEW) &&
            strcmp(item->d_name + 1 + ID_LENGTH, NEW) == 0)
            (void)file_delete_tree_at(pods_fd, item->d_name);
    (void)closedir(stream);
}

/* After a reboot RUN is empty; the copy of the record in ROOT is where the pod goes on from. */
static int revive_directory(const LaunchPaths *paths, int pods_fd, const char *id, Failure *why)
{
    AUTO_CLOSE int root_pods_fd = -1, fd = -1;
    ProtobufCMessage *record = NULL;
    int r;

    root_pods_fd = open_pods(paths->root_dir, why);
    if (root_pods_fd < 0)
        return root_pods_fd;
    fd = openat(root_pods_fd, id, O_DIRECTORY | O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return failure_say(why, FAILURE_NOT_FOUND, "there is no pod %s", id);
    r = record_read_at(fd, LAYOUT_STATE, &podmon__pod_record__descriptor, NULL, &record);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot read the record of pod %s", id);
    r = create_directory(pods_fd, id, (const Podmon__PodRecord *)record);
    protobuf_c_message_free_unpacked(record, NULL);
    if (r < 0 && r != -EEXIST)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot make the directory of pod %s", id);
    return 0;
}

static int open_pod(const LaunchPaths *paths, const char *id, Failure *why)
{
    AUTO_CLOSE int pods_fd = -1;
    int fd, r;

    pods_fd = open_pods(paths->run_dir, why);
    if (pods_fd < 0)
        return pods_fd;
    fd = openat(pods_fd, id, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        r = revive_directory(paths, pods_fd, id, why);
        if (r < 0)
            return r;
        fd = openat(pods_fd, id, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    if (fd < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot open the directory of pod %s", id);
    return fd;
}

/* What podmon is to be started with, besides its arguments. The descriptors have numbers that none
 * of them is to get. */
typedef struct Start {
    int control_fd; /* −1: it is not to serve a pod */
    int lock_fd;
    int kept[LAYOUT_KEPT_MAX];
    size_t kept_count;
    char kept_pids[LAYOUT_KEPT_MAX * 12 + 1]; /* "12,345" */
} Start;

static void start_done(Start *start)
{
    fd_close(&start->control_fd);
    fd_close(&start->lock_fd);
    for (size_t i = 0; i < start->kept_count; i++)
        fd_close(&start->kept[i]);
}

static int start_fill(Start *start, int control_fd, int lock_fd, const LaunchKept *kept,
                      size_t kept_count)
{
    size_t length = 0;

    start->control_fd = fcntl(control_fd, F_DUPFD_CLOEXEC, LAUNCH_FD_FIRST_FREE);
    start->lock_fd = fcntl(lock_fd, F_DUPFD_CLOEXEC, LAUNCH_FD_FIRST_FREE);
    if (start->control_fd < 0 || start->lock_fd < 0)
        return -errno;
    for (size_t i = 0; i < kept_count && i < LAYOUT_KEPT_MAX; i++) {
        int fd = fcntl(kept[i].pidfd, F_DUPFD_CLOEXEC, LAUNCH_FD_FIRST_FREE);
        if (fd < 0)
            return -errno;
        start->kept[start->kept_count++] = fd;
        length += (size_t)snprintf(start->kept_pids + length, sizeof(start->kept_pids) - length,
                                   "%s%d", i > 0 ? "," : "", (int)kept[i].pid);
    }
    return 0;
}

/* What the new process starts with: 0 and 1 on /dev/null, 2 as here (its log until it has found the
 * journal), the others as layout.h says, nothing else. */
static int add_actions(posix_spawn_file_actions_t *actions, const Start *start)
{
    int r;

    r = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDWR, 0);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(actions, 0, 1);
    if (r == 0 && start->control_fd < 0)
        return -posix_spawn_file_actions_addclosefrom_np(actions, LAYOUT_FD_CONTROL);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(actions, start->control_fd, LAYOUT_FD_CONTROL);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(actions, start->lock_fd, LAYOUT_FD_LOCK);
    for (size_t i = 0; r == 0 && i < start->kept_count; i++)
        r = posix_spawn_file_actions_adddup2(actions, start->kept[i], LAYOUT_FD_KEPT + (int)i);
    if (r == 0)
        r = posix_spawn_file_actions_addclosefrom_np(actions,
                                                     LAYOUT_FD_KEPT + (int)start->kept_count);
    return -r;
}

/* A session of its own (no signal meant for the dispatcher's group reaches it), no signal blocked
 * or ignored. posix_spawn shares the memory until the exec, so its cost does not grow with us. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    int r;

    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    r = posix_spawnattr_setsigmask(attributes, &none);
    if (r == 0)
        r = posix_spawnattr_setsigdefault(attributes, &all);
    if (r == 0)
        r = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                                     POSIX_SPAWN_SETSIGDEF);
    return -r;
}

/* *ret_pidfd: the new process. */
static int spawn_podmon(const LaunchPaths *paths, const char *const *argv, const Start *start,
                        int *ret_pidfd)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    pid_t pid;
    int r;

    r = -posix_spawn_file_actions_init(&actions);
    if (r < 0)
        return r;
    r = -posix_spawnattr_init(&attributes);
    if (r >= 0) {
        r = add_actions(&actions, start);
        if (r >= 0)
            r = set_attributes(&attributes);
        if (r >= 0)
            r = -posix_spawn(&pid, paths->podmon, &actions, &attributes, (char *const *)argv,
                             environ);
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    if (r >= 0)
        r = *ret_pidfd = fd_open_pid(pid);
    return r < 0 ? r : 0;
}

int launch_ensure(const LaunchPaths *paths, const char *pod_id, const LaunchKept *kept,
                  size_t kept_count, int *ret_pidfd, Failure *why)
{
    CLEANUP(start_done) Start start = {.control_fd = -1, .lock_fd = -1};
    AUTO_CLOSE int dir_fd = -1, lock_fd = -1, control_fd = -1;
    const char *const argv[] = {
        "podmon",        "--pod",  pod_id,          "--run",
        paths->run_dir,  "--root", paths->root_dir, kept_count > 0 ? "--kept" : NULL,
        start.kept_pids, NULL};
    int r;

    if (!id_is_valid(pod_id))
        return failure_say(why, FAILURE_NOT_FOUND, "there is no pod %s", pod_id);
    dir_fd = open_pod(paths, pod_id, why);
    if (dir_fd < 0)
        return dir_fd;

    lock_fd = layout_lock_pod(dir_fd);
    if (lock_fd == -EBUSY) {
        *ret_pidfd = -1;
        return 0;
    }
    if (lock_fd < 0)
        return failure_set(why, FAILURE_INTERNAL, -lock_fd, "cannot lock pod %s", pod_id);
    control_fd = channel_listen_at(dir_fd, LAYOUT_CONTROL, LAUNCH_BACKLOG);
    if (control_fd < 0)
        return failure_set(why, FAILURE_INTERNAL, -control_fd,
                           "cannot open the control socket of pod %s", pod_id);
    r = start_fill(&start, control_fd, lock_fd, kept, kept_count);
    if (r >= 0)
        r = spawn_podmon(paths, argv, &start, ret_pidfd);
    return r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot start %s", paths->podmon) : 0;
}

int launch_collect(const LaunchPaths *paths, const char *conf_dir, char *const *bin_dirs,
                   uint32_t timeout_ms, int *ret_pidfd, Failure *why)
{
    const Start start = {.control_fd = -1, .lock_fd = -1};
    const char *argv[COLLECT_ARGUMENTS_MAX + 1] = {"podmon", "collect", paths->run_dir,
                                                   paths->root_dir, conf_dir};
    char timeout[16];
    size_t count = 5;
    int r;

    (void)snprintf(timeout, sizeof(timeout), "%u", timeout_ms);
    argv[count++] = timeout;
    while (*bin_dirs && count < COLLECT_ARGUMENTS_MAX)
        argv[count++] = *bin_dirs++;
    r = spawn_podmon(paths, argv, &start, ret_pidfd);
    return r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot start %s", paths->podmon) : 0;
}
