/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/api/annotation.h"

#include <string.h>

#include "shared/path.h"
#include "shared/text.h"

#define SECCOMP_POD "security.alpha.kubernetes.io/seccomp/pod"
#define SECCOMP_CONTAINER "security.alpha.kubernetes.io/seccomp/container/"
#define APPARMOR_CONTAINER "container.apparmor.security.beta.kubernetes.io/"
#define LOCALHOST "localhost/"

typedef Runtime__V1__SecurityProfile Profile;

static const char *const sysctl_names[] = {
    "security.alpha.kubernetes.io/sysctls",
    "security.alpha.kubernetes.io/unsafe-sysctls",
};

const char *annotation_find(Annotation *const *annotations, size_t count, const char *name)
{
    for (size_t i = count; i > 0; i--) {
        if (strcmp(annotations[i - 1]->key, name) == 0)
            return annotations[i - 1]->value;
    }
    return NULL;
}

static size_t count_items(const char *list)
{
    size_t count = 0;

    if (!list || !*list)
        return 0;
    for (count = 1; *list; list++)
        count += *list == ',';
    return count;
}

static int read_sysctl(const char *annotation, char *item, Arena *arena, Sysctl **ret, Failure *why)
{
    char *equals = strchr(item, '=');
    Sysctl *sysctl;

    if (!equals || equals == item)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "annotation %s has \"%s\", must be name=value", annotation, item);
    *equals = '\0';
    sysctl = arena_alloc(arena, sizeof(*sysctl));
    runtime__v1__linux_pod_sandbox_config__sysctls_entry__init(sysctl);
    sysctl->key = item;
    sysctl->value = equals + 1;
    *ret = sysctl;
    return 0;
}

int annotation_read_sysctls(Annotation *const *annotations, size_t count, Arena *arena,
                            Sysctl ***ret, size_t *ret_count, Failure *why)
{
    enum { NAMES = sizeof(sysctl_names) / sizeof(sysctl_names[0]) };
    const char *values[NAMES];
    Sysctl **sysctls = NULL;
    size_t total = 0, used = 0;

    for (size_t i = 0; i < NAMES; i++) {
        values[i] = annotation_find(annotations, count, sysctl_names[i]);
        total += count_items(values[i]);
    }
    if (total > 0)
        sysctls = arena_alloc_array(arena, total, sizeof(Sysctl *));
    for (size_t i = 0; i < NAMES; i++) {
        char *rest = arena_copy(arena, values[i]), *item;

        for (size_t items = count_items(rest); items > 0; items--) {
            int r;

            item = strsep(&rest, ",");
            r = read_sysctl(sysctl_names[i], item, arena, &sysctls[used], why);
            if (r < 0)
                return r;
            used++;
        }
    }
    *ret = sysctls;
    *ret_count = used;
    return 0;
}

static Profile *profile_new(Arena *arena, Runtime__V1__SecurityProfile__ProfileType type,
                            const char *reference)
{
    Profile *profile = arena_alloc(arena, sizeof(*profile));

    runtime__v1__security_profile__init(profile);
    profile->profile_type = type;
    if (reference)
        profile->localhost_ref = arena_copy(arena, reference);
    return profile;
}

/* What both kinds of profile have in common; 1: *ret is the answer, 0: it is localhost/… and
 * `*ret_name` what follows. */
static int read_profile(const char *annotation, const char *value, Arena *arena, Profile **ret,
                        const char **ret_name, Failure *why)
{
    if (strcmp(value, "runtime/default") == 0 || strcmp(value, "docker/default") == 0)
        *ret =
            profile_new(arena, RUNTIME__V1__SECURITY_PROFILE__PROFILE_TYPE__RuntimeDefault, NULL);
    else if (strcmp(value, "unconfined") == 0)
        *ret = profile_new(arena, RUNTIME__V1__SECURITY_PROFILE__PROFILE_TYPE__Unconfined, NULL);
    else if (text_starts_with(value, LOCALHOST) && value[strlen(LOCALHOST)] != '\0')
        *ret_name = value + strlen(LOCALHOST);
    else
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "annotation %s is \"%s\", must be runtime/default, unconfined or "
                           "localhost/<profile>",
                           annotation, value);
    return *ret ? 1 : 0;
}

int annotation_read_seccomp(Annotation *const *annotations, size_t count, const char *container,
                            const char *profile_dir, Arena *arena, Profile **ret, Failure *why)
{
    const char *annotation = SECCOMP_POD, *value = NULL, *name = NULL;
    Profile *profile = NULL;
    int r;

    if (container) {
        annotation = arena_print(arena, SECCOMP_CONTAINER "%s", container);
        value = annotation_find(annotations, count, annotation);
        if (!value)
            annotation = SECCOMP_POD;
    }
    if (!value)
        value = annotation_find(annotations, count, annotation);
    if (value) {
        r = read_profile(annotation, value, arena, &profile, &name, why);
        if (r < 0)
            return r;
    }
    if (name) {
        if (!path_is_clean(arena_print(arena, "/%s", name)))
            return failure_say(why, FAILURE_INVALID_ARGUMENT,
                               "annotation %s is \"%s\", must name a file below %s", annotation,
                               value, profile_dir);
        profile = profile_new(arena, RUNTIME__V1__SECURITY_PROFILE__PROFILE_TYPE__Localhost,
                              arena_print(arena, "%s/%s", profile_dir, name));
    }
    *ret = profile;
    return 0;
}

int annotation_read_apparmor(Annotation *const *annotations, size_t count, const char *container,
                             Arena *arena, Profile **ret, Failure *why)
{
    const char *annotation = arena_print(arena, APPARMOR_CONTAINER "%s", container);
    const char *value = annotation_find(annotations, count, annotation), *name = NULL;
    Profile *profile = NULL;
    int r;

    if (value && *value) {
        r = read_profile(annotation, value, arena, &profile, &name, why);
        if (r < 0)
            return r;
    }
    if (name)
        profile = profile_new(arena, RUNTIME__V1__SECURITY_PROFILE__PROFILE_TYPE__Localhost, name);
    *ret = profile;
    return 0;
}
