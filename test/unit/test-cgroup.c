/* SPDX-License-Identifier: Apache-2.0 */
/* With the machine's own cgroups, in a group of the test's own that goes when it ends. */
#include "podmon/cgroup.h"

#include <errno.h>
#include <limits.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "podmon/cgroup_tree.h"
#include "shared/cleanup.h"
#include "shared/text.h"
#include "test/unit/test.h"

static char base[64], group[80];

/* False, with the reason in the case's result, where there are no cgroups to write to. */
static bool prepare(void)
{
    const CgroupTree *tree;

    if (geteuid() != 0 || cgroup_tree_get(&tree, NULL) < 0)
        return false;
    (void)snprintf(base, sizeof(base), "/podmon-test-%d", getpid());
    (void)snprintf(group, sizeof(group), "%s/one", base);
    return cgroup_create(base, NULL, NULL) == 0;
}

#define PREPARE()                                                                                  \
    do {                                                                                           \
        if (!prepare())                                                                            \
            SKIP("needs root and writable control groups");                                        \
    } while (0)

#define NEED(controller)                                                                           \
    do {                                                                                           \
        if (!has(controller)) {                                                                    \
            (void)cgroup_remove(base);                                                             \
            SKIP("this machine has not got the controller");                                       \
        }                                                                                          \
    } while (0)

static bool has(CgroupController controller)
{
    const CgroupTree *tree;

    return cgroup_tree_get(&tree, NULL) == 0 && cgroup_tree_find(tree, controller);
}

/* Whether a trace of the path is left anywhere. */
static bool exists(const char *path)
{
    const CgroupTree *tree;

    return cgroup_tree_get(&tree, NULL) < 0 || cgroup_tree_holder(tree, path);
}

static const char *value(CgroupController controller, const char *v1_file, const char *v2_file)
{
    static char *text;
    const CgroupTree *tree;
    const CgroupHierarchy *hierarchy;

    free(text);
    text = NULL;
    if (cgroup_tree_get(&tree, NULL) < 0)
        return NULL;
    hierarchy = cgroup_tree_find(tree, controller);
    if (!hierarchy || cgroup_get(hierarchy, group, hierarchy->v2 ? v2_file : v1_file, &text) < 0)
        return NULL;
    text[strcspn(text, "\n")] = '\0';
    return text;
}

/* A child that is in the group before it runs `work`. */
static pid_t start(int (*work)(void))
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(cgroup_join(group, NULL) < 0 ? 99 : work());
    for (int i = 0; i < 1000 && cgroup_is_empty(group) == 1; i++)
        (void)usleep(1000);
    return pid;
}

static int wait_for(pid_t pid)
{
    int status = -1;

    return waitpid(pid, &status, 0) == pid ? status : -1;
}

static int work_wait(void)
{
    for (int i = 0; i < 100; i++)
        (void)usleep(100000);
    return 0;
}

/* Somebody else has made the parent, and not filled it yet: what two first pods at once do. */
TEST(an_empty_cpuset_above_is_filled)
{
    const CgroupTree *tree;
    char place[PATH_MAX], inner[96];
    const CgroupHierarchy *cpuset;
    AUTO_FREE char *text = NULL;

    PREPARE();
    NEED(CGROUP_CPUSET);
    CHECK_EQ(cgroup_tree_get(&tree, NULL), 0);
    cpuset = cgroup_tree_find(tree, CGROUP_CPUSET);
    if (!cpuset->v2) {
        CHECK_EQ(cgroup_place(cpuset, group, strlen(group), NULL, place), 0);
        CHECK_EQ(mkdir(place, 0755), 0);
        (void)snprintf(inner, sizeof(inner), "%s/inner", group);
        CHECK_EQ(cgroup_create(inner, NULL, NULL), 0);
        CHECK_EQ(cgroup_get(cpuset, inner, "cpuset.cpus", &text), 0);
        CHECK(text[0] != '\n' && text[0] != '\0');
    }
    CHECK_EQ(cgroup_remove(base), 0);
}

TEST(made_everywhere_and_removed)
{
    const CgroupTree *tree;

    PREPARE();
    CHECK_EQ(cgroup_tree_get(&tree, NULL), 0);
    CHECK_EQ(cgroup_create(group, NULL, NULL), 0);
    CHECK_EQ(cgroup_create(group, NULL, NULL), 0);
    for (size_t i = 0; i < tree->count; i++) {
        char place[PATH_MAX];
        CHECK_EQ(cgroup_place(&tree->hierarchies[i], group, strlen(group), NULL, place), 0);
        CHECK_EQ(access(place, F_OK), 0);
    }
    CHECK_EQ(cgroup_is_empty(group), 1);
    CHECK_EQ(cgroup_remove(base), 0);
    CHECK(!exists(base));
    CHECK_EQ(cgroup_remove(base), 0);
    CHECK_EQ(cgroup_is_empty(base), -ENOENT);
    CHECK_EQ(cgroup_kill(base), 0);
}

TEST(paths_are_checked)
{
    static const char *const bad[] = {"", "/", "x", "/a/../b", "/a//b", "/a/", "/a\nb"};
    Failure why;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(cgroup_create(bad[i], NULL, &why) < 0);
        CHECK_EQ(why.code, FAILURE_INVALID_ARGUMENT);
        CHECK_EQ(cgroup_kill(bad[i]), -EINVAL);
        CHECK_EQ(cgroup_remove(bad[i]), -EINVAL);
    }
}

TEST(limits_are_set_and_updated)
{
    Podmon__Resources resources = PODMON__RESOURCES__INIT;

    PREPARE();
    NEED(CGROUP_MEMORY);
    NEED(CGROUP_PIDS);
    resources.memory_limit = 64 << 20;
    resources.pids_limit = 77;
    resources.cpu_shares = 512;
    resources.cpu_quota = 50000;
    resources.cpu_period = 100000;
    CHECK_EQ(cgroup_create(group, &resources, NULL), 0);
    CHECK_STR(value(CGROUP_MEMORY, "memory.limit_in_bytes", "memory.max"), "67108864");
    CHECK_STR(value(CGROUP_PIDS, "pids.max", "pids.max"), "77");
    resources.memory_limit = 128 << 20;
    resources.pids_limit = -1;
    resources.cpu_quota = -1;
    CHECK_EQ(cgroup_update(group, &resources, NULL), 0);
    CHECK_STR(value(CGROUP_MEMORY, "memory.limit_in_bytes", "memory.max"), "134217728");
    CHECK_STR(value(CGROUP_PIDS, "pids.max", "pids.max"), "max");
    CHECK_EQ(cgroup_remove(base), 0);
}

TEST(refused_value_is_named_and_leaves_nothing)
{
    Podmon__Resources resources = PODMON__RESOURCES__INIT;
    char cpus[] = "4000";
    Failure why;

    PREPARE();
    NEED(CGROUP_CPUSET);
    resources.cpuset_cpus = cpus;
    CHECK(cgroup_create(group, &resources, &why) < 0);
    CHECK_EQ(why.code, FAILURE_INVALID_ARGUMENT);
    CHECK(strstr(why.text, "cpuset.cpus=4000"));
    CHECK(!exists(group));
    CHECK(exists(base));
    CHECK(cgroup_update(group, &resources, &why) < 0);
    CHECK_EQ(why.code, FAILURE_NOT_FOUND);
    CHECK_EQ(cgroup_create(group, NULL, NULL), 0);
    CHECK(cgroup_update(group, &resources, &why) < 0);
    CHECK_EQ(why.code, FAILURE_INVALID_ARGUMENT);
    CHECK(strstr(why.text, "cpuset.cpus=4000"));
    CHECK_EQ(cgroup_remove(base), 0);
}

static int count_process(void *data, pid_t pid)
{
    (void)pid;
    ++*(int *)data;
    return 0;
}

TEST(process_is_found_killed_and_the_group_removed)
{
    char own[PATH_MAX];
    int count = 0, status;
    pid_t pid;

    PREPARE();
    CHECK_EQ(cgroup_create(group, NULL, NULL), 0);
    pid = start(work_wait);
    CHECK(pid > 0);
    CHECK_EQ(cgroup_read_own(pid, own), 0);
    CHECK(strlen(own) >= strlen(group));
    CHECK_STR(own + strlen(own) - strlen(group), group);
    CHECK_EQ(cgroup_is_empty(base), 0);
    CHECK_EQ(cgroup_each_process(base, count_process, &count), 0);
    CHECK_EQ(count, 1);
    CHECK_EQ(cgroup_remove(base), -EBUSY);
    CHECK(exists(group));
    CHECK_EQ(cgroup_kill(base), 0);
    status = wait_for(pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK_EQ(cgroup_is_empty(base), 1);
    CHECK_EQ(cgroup_remove(base), 0);
    CHECK(!exists(base));
}

/* The way of a container's process: born in the v2 group, and joining the others by itself. */
TEST(entry_covers_every_hierarchy)
{
    CgroupEntry entry;
    struct clone_args arguments = {.exit_signal = SIGCHLD};
    long pid;

    PREPARE();
    CHECK_EQ(cgroup_create(group, NULL, NULL), 0);
    CHECK_EQ(cgroup_entry_open(group, &entry, NULL), 0);
    if (entry.into_fd >= 0) {
        arguments.flags = CLONE_INTO_CGROUP;
        arguments.cgroup = (__u64)entry.into_fd;
    }
    pid = syscall(SYS_clone3, &arguments, sizeof(arguments));
    if (pid == 0) {
        char line[PATH_MAX];
        int inside = 0;
        FILE *list;

        if (cgroup_entry_join(&entry) < 0 || !(list = fopen("/proc/self/cgroup", "re")))
            _exit(1);
        while (fgets(line, sizeof(line), list))
            inside += strstr(line, group) != NULL;
        _exit(inside != entry.join_count + (entry.into_fd >= 0) ? 2 : 0);
    }
    CHECK(pid > 0);
    CHECK_EQ(wait_for((pid_t)pid), 0);
    cgroup_entry_done(&entry);
    CHECK_EQ(cgroup_remove(base), 0);
    CHECK(cgroup_entry_open(group, &entry, NULL) < 0);
}

static int work_allocate(void)
{
    size_t size = 64 << 20;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return 1;
    for (size_t i = 0; i < size; i += 4096)
        memory[i] = 1;
    return 0;
}

TEST(memory_limit_kills_and_is_counted)
{
    Podmon__Resources resources = PODMON__RESOURCES__INIT;
    uint64_t kills = 9;
    int status;

    PREPARE();
    NEED(CGROUP_MEMORY);
    resources.memory_limit = 32 << 20;
    resources.memory_swap_limit = 32 << 20;
    CHECK_EQ(cgroup_create(group, &resources, NULL), 0);
    CHECK_EQ(cgroup_read_oom_kills(group, &kills), 0);
    CHECK_EQ(kills, 0);
    status = wait_for(start(work_allocate));
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK_EQ(cgroup_read_oom_kills(group, &kills), 0);
    CHECK_EQ(kills, 1);
    CHECK_EQ(cgroup_remove(base), 0);
}

/* Each of them ends by itself after a while, should nobody kill it; alarms are not inherited. */
static int work_multiply(void)
{
    (void)alarm(60);
    for (int i = 0; i < 100000; i++)
        if (fork() == 0)
            (void)alarm(60);
    return 0;
}

/* Waits until nobody is left; the bomb's children are init's. */
static bool wait_empty(void)
{
    for (int i = 0; i < 3000; i++) {
        if (cgroup_is_empty(base) == 1)
            return true;
        (void)usleep(10000);
    }
    return false;
}

TEST(fork_bomb_is_bounded_and_ended)
{
    Podmon__Resources resources = PODMON__RESOURCES__INIT;
    int count = 0;
    pid_t pid;

    PREPARE();
    NEED(CGROUP_PIDS);
    resources.pids_limit = 64;
    CHECK_EQ(cgroup_create(group, &resources, NULL), 0);
    pid = start(work_multiply);
    CHECK(pid > 0);
    for (int i = 0; i < 3000 && count < 64; i++) {
        (void)usleep(10000);
        count = 0;
        (void)cgroup_each_process(group, count_process, &count);
    }
    /* First ended, then judged. */
    CHECK_EQ(cgroup_kill(base), 0);
    CHECK(WIFSIGNALED(wait_for(pid)));
    CHECK_EQ(count, 64);
    CHECK(wait_empty());
    CHECK_EQ(cgroup_remove(base), 0);
}

TEST(device_rules)
{
    static const char *const rules[] = {"c 1:3 rwm", "c 1:5 r"};
    static const char *const bad[] = {"c 1:3 q"};
    Failure why;
    int r;

    PREPARE();
    CHECK_EQ(cgroup_create(group, NULL, NULL), 0);
    r = cgroup_set_devices(group, rules, 2, &why);
    if (!has(CGROUP_DEVICES)) {
        CHECK_EQ(r, -EOPNOTSUPP);
        CHECK_EQ(why.code, FAILURE_UNIMPLEMENTED);
    } else {
        CHECK_EQ(r, 0);
        CHECK_STR(value(CGROUP_DEVICES, "devices.list", ""), "c 1:3 rwm");
        CHECK(cgroup_set_devices(group, bad, 1, &why) < 0);
        CHECK_EQ(why.code, FAILURE_INVALID_ARGUMENT);
    }
    CHECK_EQ(cgroup_remove(base), 0);
}

TEST_MAIN
