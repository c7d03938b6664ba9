/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "podmon/publish.h"
#include "shared/message.h"

static void merge_number(int64_t *into, int64_t from)
{
    if (from != 0)
        *into = from;
}

static int merge_text(char **into, const char *from)
{
    return *from ? record_set_text(into, from) : 0;
}

static int add_pair(Podmon__Pair ***list, size_t *count, const Podmon__Pair *from)
{
    Podmon__Pair **longer = realloc(*list, (*count + 1) * sizeof(*longer));

    if (!longer)
        return -ENOMEM;
    *list = longer;
    longer[*count] = (Podmon__Pair *)message_copy(&from->base);
    if (!longer[*count])
        return -ENOMEM;
    (*count)++;
    return 0;
}

static int merge_pairs(Podmon__Pair ***list, size_t *count, Podmon__Pair *const *from,
                       size_t from_count)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < from_count; i++) {
        size_t at = 0;

        while (at < *count && strcmp((*list)[at]->key, from[i]->key) != 0)
            at++;
        r = at < *count ? record_set_text(&(*list)[at]->value, from[i]->value)
                        : add_pair(list, count, from[i]);
    }
    return r;
}

static int merge(Podmon__Resources *into, const Podmon__Resources *from)
{
    int r;

    merge_number(&into->cpu_period, from->cpu_period);
    merge_number(&into->cpu_quota, from->cpu_quota);
    merge_number(&into->cpu_shares, from->cpu_shares);
    merge_number(&into->memory_limit, from->memory_limit);
    merge_number(&into->memory_swap_limit, from->memory_swap_limit);
    merge_number(&into->oom_score_adj, from->oom_score_adj);
    merge_number(&into->pids_limit, from->pids_limit);
    r = merge_text(&into->cpuset_cpus, from->cpuset_cpus);
    if (r == 0)
        r = merge_text(&into->cpuset_mems, from->cpuset_mems);
    if (r == 0)
        r = merge_pairs(&into->hugepage_limits, &into->n_hugepage_limits, from->hugepage_limits,
                        from->n_hugepage_limits);
    if (r == 0)
        r = merge_pairs(&into->unified, &into->n_unified, from->unified, from->n_unified);
    return r;
}

Podmon__Resources *limits_merge(const Podmon__Resources *old, const Podmon__Resources *change)
{
    Podmon__Resources *merged;

    if (!old)
        return (Podmon__Resources *)message_copy(&change->base);
    merged = (Podmon__Resources *)message_copy(&old->base);
    if (merged && merge(merged, change) < 0) {
        podmon__resources__free_unpacked(merged, NULL);
        return NULL;
    }
    return merged;
}
