/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/cgroup_values.h"

#include "podmon/cgroup.h"
#include "podmon/cgroup_tree.h"
#include "shared/text.h"
#include "test/unit/test.h"

/* "file=text file=text …" of what was computed, or the failure's sentence. */
static const char *describe(int r, CgroupValues *values, const Failure *why)
{
    static char text[2048];
    size_t used = 0;

    if (r < 0) {
        (void)snprintf(text, sizeof(text), "%d %s", why->code, why->text);
        return text;
    }
    *text = '\0';
    for (size_t i = 0; i < values->count; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s%s=%s", i ? ", " : "",
                                 values->items[i].required ? "!" : "", values->items[i].file,
                                 values->items[i].text);
    cgroup_values_done(values);
    return text;
}

typedef struct Row {
    Podmon__Resources resources;
    const char *v1;
    const char *v2;
} Row;

static char empty[] = "", cpus[] = "0-1,4", mems[] = "0", bad_cpus[] = "0;1";

#define WITH_CPUSET(cpu_list, memory_list, ...)                                                    \
    {                                                                                              \
        .base = {.descriptor = &podmon__resources__descriptor}, .cpuset_cpus = (cpu_list),         \
        .cpuset_mems = (memory_list), __VA_ARGS__                                                  \
    }
#define RESOURCES(...) WITH_CPUSET(empty, empty, __VA_ARGS__)

static const Row ROWS[] = {
    {RESOURCES(.oom_score_adj = 0), "", ""},
    {RESOURCES(.cpu_shares = 2), "cpu.shares=2", "cpu.weight=1"},
    {RESOURCES(.cpu_shares = 1024), "cpu.shares=1024", "cpu.weight=100"},
    {RESOURCES(.cpu_shares = 262144), "cpu.shares=262144", "cpu.weight=10000"},
    {RESOURCES(.cpu_quota = 50000, .cpu_period = 100000),
     "cpu.cfs_period_us=100000, !cpu.cfs_quota_us=50000", "!cpu.max=50000 100000"},
    {RESOURCES(.cpu_quota = 50000), "!cpu.cfs_quota_us=50000", "!cpu.max=50000 100000"},
    {RESOURCES(.cpu_quota = -1), "cpu.cfs_quota_us=-1", "cpu.max=max 100000"},
    {RESOURCES(.cpu_quota = -1, .cpu_period = 20000),
     "cpu.cfs_period_us=20000, cpu.cfs_quota_us=-1", "cpu.max=max 20000"},
    {RESOURCES(.cpu_period = 20000), "cpu.cfs_period_us=20000", "cpu.max=max 20000"},
    {RESOURCES(.memory_limit = 1048576), "!memory.limit_in_bytes=1048576", "!memory.max=1048576"},
    {RESOURCES(.memory_limit = -1), "memory.limit_in_bytes=-1", "memory.max=max"},
    {RESOURCES(.memory_limit = -1, .memory_swap_limit = -1),
     "memory.limit_in_bytes=-1, memory.memsw.limit_in_bytes=-1",
     "memory.max=max, memory.swap.max=max"},
    {RESOURCES(.memory_swap_limit = -1), "memory.memsw.limit_in_bytes=-1", "memory.swap.max=max"},
    {RESOURCES(.memory_limit = 1048576, .memory_swap_limit = 1048576),
     "!memory.limit_in_bytes=1048576, memory.memsw.limit_in_bytes=1048576",
     "!memory.max=1048576, memory.swap.max=0"},
    {RESOURCES(.memory_limit = 1048576, .memory_swap_limit = 3145728),
     "!memory.limit_in_bytes=1048576, memory.memsw.limit_in_bytes=3145728",
     "!memory.max=1048576, memory.swap.max=2097152"},
    {RESOURCES(.memory_limit = 1048576, .memory_swap_limit = -1),
     "!memory.limit_in_bytes=1048576, memory.memsw.limit_in_bytes=-1",
     "!memory.max=1048576, memory.swap.max=max"},
    {RESOURCES(.pids_limit = 64), "!pids.max=64", "!pids.max=64"},
    {RESOURCES(.pids_limit = -1), "pids.max=max", "pids.max=max"},
    {WITH_CPUSET(cpus, mems, .oom_score_adj = 0), "!cpuset.cpus=0-1,4, !cpuset.mems=0",
     "!cpuset.cpus=0-1,4, !cpuset.mems=0"},
    {WITH_CPUSET(bad_cpus, empty, .oom_score_adj = 0), "3 cpuset_cpus: \"0;1\" is no list",
     "3 cpuset_cpus: \"0;1\" is no list"},
    {RESOURCES(.cpu_shares = -2), "3 cpu_shares: -2 is negative", "3 cpu_shares: -2 is negative"},
    {RESOURCES(.cpu_period = -2), "3 cpu_period: -2 is negative", "3 cpu_period: -2 is negative"},
    {RESOURCES(.memory_swap_limit = 5), "3 memory_swap_limit_in_bytes: 5 needs a memory limit too",
     "3 memory_swap_limit_in_bytes: 5 needs a memory limit too"},
    {RESOURCES(.memory_limit = 9, .memory_swap_limit = 5),
     "3 memory_swap_limit_in_bytes: 5 is below the memory limit of 9",
     "3 memory_swap_limit_in_bytes: 5 is below the memory limit of 9"},
};

TEST(table)
{
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        CgroupValues values;
        Failure why;

        CHECK_STR(describe(cgroup_values_v1(&ROWS[i].resources, &values, &why), &values, &why),
                  ROWS[i].v1);
        CHECK_STR(describe(cgroup_values_v2(&ROWS[i].resources, &values, &why), &values, &why),
                  ROWS[i].v2);
    }
}

TEST(no_resources_no_values)
{
    CgroupValues values;

    CHECK_EQ(cgroup_values_v1(NULL, &values, NULL), 0);
    CHECK_EQ(values.count, 0);
    CHECK_EQ(cgroup_values_v2(NULL, &values, NULL), 0);
    CHECK_EQ(values.count, 0);
}

/* One pair as a hugepage limit, and as a unified value, on both versions. */
static const char *with_pair(const char *key, const char *value, bool unified, bool v2)
{
    static CgroupValues values;
    Failure why;
    Podmon__Pair pair = PODMON__PAIR__INIT, *pairs[] = {&pair};
    Podmon__Resources resources = PODMON__RESOURCES__INIT;

    pair.key = (char *)(uintptr_t)key;
    pair.value = (char *)(uintptr_t)value;
    if (unified) {
        resources.n_unified = 1;
        resources.unified = pairs;
    } else {
        resources.n_hugepage_limits = 1;
        resources.hugepage_limits = pairs;
    }
    return describe(v2 ? cgroup_values_v2(&resources, &values, &why)
                       : cgroup_values_v1(&resources, &values, &why),
                    &values, &why);
}

TEST(hugepages)
{
    CHECK_STR(with_pair("2MB", "4194304", false, false), "!hugetlb.2MB.limit_in_bytes=4194304");
    CHECK_STR(with_pair("2MB", "0", false, false), "hugetlb.2MB.limit_in_bytes=0");
    CHECK_STR(with_pair("1GB", "0", false, true), "hugetlb.1GB.max=0");
    CHECK(text_starts_with(with_pair("../x", "0", false, true), "3 hugepage_limits"));
    CHECK(text_starts_with(with_pair("2", "0", false, true), "3 hugepage_limits"));
    CHECK(text_starts_with(with_pair("2MB/x", "0", false, true), "3 hugepage_limits"));
    CHECK(text_starts_with(with_pair("2MB", "many", false, true), "3 hugepage_limits"));
}

TEST(unified)
{
    CHECK_STR(with_pair("memory.high", "1000", true, true), "!memory.high=1000");
    CHECK_STR(with_pair("io.weight", "default 50", true, true), "!io.weight=default 50");
    CHECK(text_starts_with(with_pair("memory.high", "1", true, false), "9 unified"));
    CHECK(text_starts_with(with_pair("cgroup.procs", "1", true, true), "3 unified"));
    CHECK(text_starts_with(with_pair("memory/../../x.y", "1", true, true), "3 unified"));
    CHECK(text_starts_with(with_pair("memory", "1", true, true), "3 unified"));
    CHECK(text_starts_with(with_pair("", "1", true, true), "3 unified"));
    CHECK(text_starts_with(with_pair("memory.high", "1\n2", true, true), "3 unified"));
}

/* What stands last is written last, and stays. */
TEST(unified_comes_after_what_it_overrides)
{
    static char max[] = "memory.max", swap[] = "memory.swap.max", cpu[] = "cpu.max",
                weight[] = "cpu.weight", number[] = "7";
    Podmon__Pair all[4] = {PODMON__PAIR__INIT, PODMON__PAIR__INIT, PODMON__PAIR__INIT,
                           PODMON__PAIR__INIT};
    Podmon__Pair *pairs[4];
    Podmon__Resources resources = PODMON__RESOURCES__INIT;
    char *keys[] = {max, swap, cpu, weight};
    CgroupValues values;
    Failure why;

    for (size_t i = 0; i < 4; i++) {
        all[i].key = keys[i];
        all[i].value = number;
        pairs[i] = &all[i];
    }
    resources.unified = pairs;
    resources.n_unified = 4;
    resources.memory_limit = 4096;
    resources.memory_swap_limit = 8192;
    resources.cpu_quota = 5000;
    resources.cpu_period = 10000;
    resources.cpu_shares = 1024;
    CHECK_STR(describe(cgroup_values_v2(&resources, &values, &why), &values, &why),
              "!memory.max=4096, memory.swap.max=4096, cpu.weight=100, !cpu.max=5000 10000, "
              "!memory.max=7, !memory.swap.max=7, !cpu.max=7, !cpu.weight=7");
}

TEST(too_many_are_refused)
{
    Podmon__Pair pair = PODMON__PAIR__INIT, *pairs[100];
    Podmon__Resources resources = PODMON__RESOURCES__INIT;
    char key[] = "memory.high", value[] = "1";
    CgroupValues values;
    Failure why;

    pair.key = key;
    pair.value = value;
    for (size_t i = 0; i < 100; i++)
        pairs[i] = &pair;
    resources.unified = pairs;
    resources.n_unified = 100;
    CHECK(cgroup_values_v2(&resources, &values, &why) < 0);
    CHECK_EQ(why.code, FAILURE_INVALID_ARGUMENT);
    CHECK_EQ(values.count, 0);
}

TEST(raised_memory_needs_the_sum_raised_first)
{
    Podmon__Resources resources = PODMON__RESOURCES__INIT;
    CgroupValues values;

    resources.memory_limit = 2000;
    resources.memory_swap_limit = 2000;
    CHECK_EQ(cgroup_values_v1(&resources, &values, NULL), 0);
    cgroup_values_order_swap(&values, 2000);
    CHECK_STR(values.items[0].file, "memory.limit_in_bytes");
    cgroup_values_order_swap(&values, 1000);
    CHECK_STR(values.items[0].file, "memory.memsw.limit_in_bytes");
    CHECK_STR(values.items[1].file, "memory.limit_in_bytes");
    cgroup_values_done(&values);
}

/* The points that opencontainers/cgroups' own test has. */
TEST(weight_of_shares)
{
    static const struct {
        uint64_t shares, weight;
    } points[] = {{0, 1},       {1, 1},          {2, 1},          {3, 2},
                  {102, 17},    {512, 59},       {1024, 100},     {2048, 174},
                  {10240, 639}, {262144, 10000}, {262143, 10000}, {300000, 10000}};
    uint64_t before = 1;

    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
        CHECK_EQ(cgroup_weight_of_shares(points[i].shares), points[i].weight);
    for (uint64_t shares = 2; shares <= 262144; shares++) {
        uint64_t weight = cgroup_weight_of_shares(shares);
        CHECK(weight >= before && weight <= 10000);
        before = weight;
    }
}

TEST(layouts_out_of_mountinfo)
{
    char hybrid[] =
        "24 1 0:22 / /proc rw - proc proc rw\n"
        "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:4 - cgroup cgroup "
        "rw,cpu,cpuacct\n"
        "37 31 0:34 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n"
        "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
        "42 31 0:38 / /mnt rw - cgroup2 cgroup2 rw\n";
    char v1[] = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
    char v2[] = "41 31 0:38 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
    char none[] = "24 1 0:22 / /proc rw - proc proc rw\n";
    CgroupTree tree;

    CHECK_EQ(cgroup_tree_parse(hybrid, &tree), 0);
    CHECK_EQ(tree.layout, CGROUP_LAYOUT_HYBRID);
    CHECK_EQ(tree.count, 4);
    CHECK(cgroup_tree_find(&tree, CGROUP_CPU) == cgroup_tree_find(&tree, CGROUP_CPUACCT));
    CHECK_STR(cgroup_tree_find(&tree, CGROUP_IO)->mount, "/sys/fs/cgroup/blkio");
    CHECK(!cgroup_tree_find(&tree, CGROUP_MEMORY));
    CHECK_STR(cgroup_tree_v2(&tree)->mount, "/sys/fs/cgroup/unified");
    CHECK_EQ(cgroup_tree_parse(v1, &tree), 0);
    CHECK_EQ(tree.layout, CGROUP_LAYOUT_V1);
    CHECK(!cgroup_tree_v2(&tree));
    CHECK_EQ(cgroup_tree_parse(v2, &tree), 0);
    CHECK_EQ(tree.layout, CGROUP_LAYOUT_V2);
    CHECK_EQ(cgroup_tree_parse(none, &tree), -2);
}

TEST_MAIN
