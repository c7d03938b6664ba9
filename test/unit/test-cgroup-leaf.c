/* SPDX-License-Identifier: Apache-2.0 */
/* The leaf of a command beside a group's first process, with the machine's own cgroups: as they
 * are, and as v1 alone, the v2 hierarchy taken away in a mount namespace of the test's own. */
#include "podmon/cgroup.h"

#include <errno.h>
#include <limits.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "podmon/cgroup_tree.h"
#include "test/unit/test.h"

enum { SKIPPED = 77 };

static char group[64], leaf[80];

static int count_process(void *data, pid_t pid)
{
    (void)pid;
    ++*(int *)data;
    return 0;
}

static int count_processes(const char *path)
{
    int count = 0;

    return cgroup_each_process(path, count_process, &count) < 0 ? -1 : count;
}

/* In how many hierarchies there is such a group. */
static size_t count_groups(const CgroupTree *tree, const char *path)
{
    size_t count = 0;

    for (size_t i = 0; i < tree->count; i++) {
        char place[PATH_MAX];
        if (cgroup_place(&tree->hierarchies[i], path, strlen(path), NULL, place) == 0)
            count += access(place, F_OK) == 0;
    }
    return count;
}

/* Lines of /proc/PID/cgroup that end with the path. */
static size_t count_memberships(pid_t pid, const char *path)
{
    char name[32], line[PATH_MAX];
    size_t count = 0;
    FILE *list;

    (void)snprintf(name, sizeof(name), "/proc/%d/cgroup", (int)pid);
    list = fopen(name, "re");
    while (list && fgets(line, sizeof(line), list)) {
        line[strcspn(line, "\n")] = '\0';
        count +=
            strlen(line) > strlen(path) && strcmp(line + strlen(line) - strlen(path), path) == 0;
    }
    if (list)
        (void)fclose(list);
    return count;
}

/* Ends by itself, should nobody kill it. */
static _Noreturn void wait_for_death(void)
{
    (void)alarm(60);
    for (;;)
        (void)pause();
}

static pid_t start_beside(void)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    if (cgroup_join(group, NULL) < 0)
        _exit(1);
    wait_for_death();
}

/* The way of a command: born or joining. It has a child of its own. */
static pid_t start_in(const CgroupEntry *entry)
{
    struct clone_args arguments = {.exit_signal = SIGCHLD};
    pid_t pid;

    if (entry->into_fd >= 0) {
        arguments.flags = CLONE_INTO_CGROUP;
        arguments.cgroup = (__u64)entry->into_fd;
    }
    pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
    if (pid != 0)
        return pid;
    if (cgroup_entry_join(entry) < 0 || fork() < 0)
        _exit(1);
    wait_for_death();
}

static bool await_count(const char *path, int count)
{
    for (int i = 0; i < 10000; i++) {
        if (count_processes(path) == count)
            return true;
        (void)usleep(1000);
    }
    return false;
}

static void check_leaf(void)
{
    const CgroupTree *tree;
    CgroupEntry entry;
    pid_t beside, command;
    int status = 0;

    (void)snprintf(group, sizeof(group), "/podmon-test-leaf-%d", getpid());
    (void)snprintf(leaf, sizeof(leaf), "%s/exec-1", group);
    CHECK_EQ(cgroup_tree_get(&tree, NULL), 0);
    CHECK_EQ(cgroup_create(group, NULL, NULL), 0);
    CHECK_EQ(cgroup_entry_open_leaf(group, leaf, &entry, NULL), 0);
    CHECK_EQ(count_groups(tree, leaf), 1);
    CHECK_EQ(count_groups(tree, group), tree->count);

    beside = start_beside();
    command = start_in(&entry);
    cgroup_entry_done(&entry);
    CHECK(beside > 0 && command > 0);
    CHECK(await_count(leaf, 2));
    CHECK(await_count(group, 3));
    CHECK_EQ(count_memberships(command, leaf), 1);
    CHECK_EQ(count_memberships(command, group), tree->count - 1);
    CHECK_EQ(cgroup_remove(leaf), -EBUSY);

    CHECK_EQ(cgroup_kill(leaf), 0);
    CHECK_EQ(waitpid(command, &status, 0), command);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK(await_count(leaf, 0));
    CHECK_EQ(cgroup_remove(leaf), 0);
    CHECK_EQ(count_groups(tree, leaf), 0);

    CHECK_EQ(waitpid(beside, &status, WNOHANG), 0);
    CHECK_EQ(cgroup_kill(group), 0);
    CHECK_EQ(waitpid(beside, &status, 0), beside);
    CHECK_EQ(cgroup_remove(group), 0);
    CHECK_EQ(count_groups(tree, group), 0);
}

/* Takes the v2 hierarchy away from this process; false where nothing else is mounted. */
static bool hide_v2(void)
{
    char line[PATH_MAX], place[PATH_MAX], v2[PATH_MAX] = "", type[16];
    bool v1 = false;
    FILE *list;

    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return false;
    list = fopen("/proc/self/mounts", "re");
    while (list && fgets(line, sizeof(line), list)) {
        if (sscanf(line, "%*s %4095s %15s", place, type) != 2)
            continue;
        if (strcmp(type, "cgroup2") == 0)
            (void)stpcpy(v2, place);
        v1 = v1 || strcmp(type, "cgroup") == 0;
    }
    if (list)
        (void)fclose(list);
    return v1 && (!*v2 || umount2(v2, MNT_DETACH) == 0);
}

static bool can_write(void)
{
    const CgroupTree *tree;

    return geteuid() == 0 && cgroup_tree_get(&tree, NULL) == 0;
}

/* In a process of its own: what is mounted is asked for only once. */
TEST(command_has_a_leaf_on_v1_alone)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        const CgroupTree *tree;

        if (geteuid() != 0 || !hide_v2() || !can_write())
            _exit(SKIPPED);
        if (cgroup_tree_get(&tree, NULL) < 0 || tree->layout != CGROUP_LAYOUT_V1)
            _exit(2);
        check_leaf();
        _exit(test_failed);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    if (WEXITSTATUS(status) == SKIPPED)
        SKIP("needs root and the hierarchies of cgroup v1");
    CHECK_EQ(WEXITSTATUS(status), 0);
}

TEST(command_has_a_leaf)
{
    if (!can_write())
        SKIP("needs root and writable control groups");
    check_leaf();
}

TEST_MAIN
