/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cri/levels.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>

enum { CATEGORIES = 1024, ATTEMPTS_MAX = 1000 };

static bool has_level(const Podmon__SelinuxLabel *label, const char *level)
{
    return label && strcmp(label->level, level) == 0;
}

static bool is_taken(const PodIndex *pods, const char *level)
{
    for (size_t i = 0; i < pod_index_count(pods); i++) {
        const Podmon__PodRecord *record = pod_index_get(pods, i)->record;

        if (record->spec && has_level(record->spec->selinux, level))
            return true;
        for (size_t k = 0; k < record->n_containers; k++) {
            const Podmon__ContainerSpec *spec = record->containers[k]->spec;

            if (spec && spec->security && has_level(spec->security->selinux, level))
                return true;
        }
    }
    return false;
}

int levels_choose(const PodIndex *pods, Arena *arena, const char **ret, Failure *why)
{
    for (int attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        unsigned int first, second;
        uint16_t chance[2];
        const char *level;

        if (getrandom(chance, sizeof(chance), 0) != (ssize_t)sizeof(chance))
            return failure_set(why, FAILURE_INTERNAL, errno, "cannot choose a level of SELinux");
        first = chance[0] % CATEGORIES;
        second = chance[1] % CATEGORIES;
        if (first >= second)
            continue;
        level = arena_print(arena, "s0:c%u,c%u", first, second);
        if (!is_taken(pods, level)) {
            *ret = level;
            return 0;
        }
    }
    return failure_say(why, FAILURE_RESOURCE_EXHAUSTED,
                       "no level of SELinux was found that no pod has");
}
