/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/seccomp_profile.h"

#include <errno.h>
#include <stdlib.h>

enum {
    RULES_MAX = 65536,
    ARCHITECTURES_MAX = 32,
};

void seccomp_profile_done(SeccompProfile *profile)
{
    free(profile->architectures);
    free(profile->rules);
    if (profile->free_names)
        profile->free_names(profile->names);
    *profile = (SeccompProfile){0};
}

/* Room for one more: the array doubles whenever `count` is one less than a power of two. */
static int make_room(void **array, size_t count, size_t limit, size_t size)
{
    void *grown;

    if (count >= limit)
        return -E2BIG;
    if ((count & (count + 1)) != 0)
        return 0;
    grown = reallocarray(*array, 2 * (count + 1), size);
    if (!grown)
        return -ENOMEM;
    *array = grown;
    return 0;
}

int seccomp_profile_add(SeccompProfile *profile, const SeccompRule *rule)
{
    void *array = profile->rules;
    int r = make_room(&array, profile->rules_count, RULES_MAX, sizeof(*rule));

    profile->rules = array;
    if (r >= 0)
        profile->rules[profile->rules_count++] = *rule;
    return r;
}

int seccomp_profile_add_architecture(SeccompProfile *profile, uint32_t architecture)
{
    void *array = profile->architectures;
    int r =
        make_room(&array, profile->architectures_count, ARCHITECTURES_MAX, sizeof(architecture));

    profile->architectures = array;
    if (r >= 0)
        profile->architectures[profile->architectures_count++] = architecture;
    return r;
}
