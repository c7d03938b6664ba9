/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/limits.h"

#include "test/unit/test.h"

static char empty[] = "", cpus[] = "0", more_cpus[] = "0-1";
static char page[] = "2MB", other_page[] = "1GB", high[] = "memory.high", low[] = "memory.low";
static char one[] = "1", two[] = "2";

static Podmon__Pair pair_of(char *key, char *value)
{
    Podmon__Pair pair = PODMON__PAIR__INIT;

    pair.key = key;
    pair.value = value;
    return pair;
}

TEST(what_is_not_named_stays)
{
    Podmon__Pair page_pair = pair_of(page, one), high_pair = pair_of(high, one);
    Podmon__Pair *pages[] = {&page_pair}, *files[] = {&high_pair};
    Podmon__Resources old = PODMON__RESOURCES__INIT, change = PODMON__RESOURCES__INIT, *merged;

    old.cpu_quota = 50000;
    old.cpu_period = 100000;
    old.memory_limit = 1 << 20;
    old.cpuset_cpus = cpus;
    old.hugepage_limits = pages;
    old.n_hugepage_limits = 1;
    old.unified = files;
    old.n_unified = 1;
    change.cpu_quota = 60000;
    change.cpuset_mems = empty;
    merged = limits_merge(&old, &change);
    CHECK(merged);
    CHECK_EQ(merged->cpu_quota, 60000);
    CHECK_EQ(merged->cpu_period, 100000);
    CHECK_EQ(merged->memory_limit, 1 << 20);
    CHECK_STR(merged->cpuset_cpus, "0");
    CHECK_EQ(merged->n_hugepage_limits, 1);
    CHECK_STR(merged->unified[0]->value, "1");
    CHECK_EQ(old.cpu_quota, 50000);
    podmon__resources__free_unpacked(merged, NULL);
}

TEST(what_is_named_takes_its_place)
{
    Podmon__Pair old_page = pair_of(page, one), old_high = pair_of(high, one);
    Podmon__Pair new_page = pair_of(page, two), gib = pair_of(other_page, one);
    Podmon__Pair new_high = pair_of(high, two), new_low = pair_of(low, one);
    Podmon__Pair *old_pages[] = {&old_page}, *old_files[] = {&old_high};
    Podmon__Pair *new_pages[] = {&gib, &new_page}, *new_files[] = {&new_low, &new_high};
    Podmon__Resources old = PODMON__RESOURCES__INIT, change = PODMON__RESOURCES__INIT, *merged;

    old.hugepage_limits = old_pages;
    old.n_hugepage_limits = 1;
    old.unified = old_files;
    old.n_unified = 1;
    change.hugepage_limits = new_pages;
    change.n_hugepage_limits = 2;
    change.unified = new_files;
    change.n_unified = 2;
    change.cpu_period = 20000;
    change.cpu_shares = 2;
    change.memory_limit = -1;
    change.memory_swap_limit = -1;
    change.oom_score_adj = -5;
    change.pids_limit = 7;
    change.cpuset_cpus = more_cpus;
    change.cpuset_mems = one;
    merged = limits_merge(&old, &change);
    CHECK(merged);
    CHECK_EQ(merged->n_hugepage_limits, 2);
    CHECK_STR(merged->hugepage_limits[0]->key, "2MB");
    CHECK_STR(merged->hugepage_limits[0]->value, "2");
    CHECK_STR(merged->hugepage_limits[1]->key, "1GB");
    CHECK_EQ(merged->n_unified, 2);
    CHECK_STR(merged->unified[0]->value, "2");
    CHECK_STR(merged->unified[1]->key, "memory.low");
    CHECK_EQ(merged->cpu_period, 20000);
    CHECK_EQ(merged->cpu_shares, 2);
    CHECK_EQ(merged->memory_limit, -1);
    CHECK_EQ(merged->memory_swap_limit, -1);
    CHECK_EQ(merged->oom_score_adj, -5);
    CHECK_EQ(merged->pids_limit, 7);
    CHECK_STR(merged->cpuset_cpus, "0-1");
    CHECK_STR(merged->cpuset_mems, "1");
    podmon__resources__free_unpacked(merged, NULL);
}

TEST(without_limits_the_change_is_all)
{
    Podmon__Resources change = PODMON__RESOURCES__INIT, *merged;

    change.memory_limit = 5;
    merged = limits_merge(NULL, &change);
    CHECK(merged);
    CHECK_EQ(merged->memory_limit, 5);
    podmon__resources__free_unpacked(merged, NULL);
}

TEST_MAIN
