/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

#include "dispatcher/cri/check.h"
#include "dispatcher/cri/lower_part.h"
#include "shared/capability_names.h"
#include "shared/path.h"
#include "shared/text.h"

#define FIELD "config.linux.security_context"

enum {
    ID_MAX = INT32_MAX, /* of users and groups: what every file system and id map can hold */
    GROUPS_COUNT_MAX = 1000,
    PATHS_MAX = 1024,
};

/* Those of containerd and Docker. */
static const char *const MASKED_PATHS[] = {
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
};

static const char *const READ_ONLY_PATHS[] = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

static int check_id(const char *member, int64_t value, Failure *why)
{
    if (value >= 0 && value <= ID_MAX)
        return 0;
    return failure_say(why, FAILURE_INVALID_ARGUMENT, FIELD ".%s: %" PRId64 " is outside 0..%d",
                       member, value, ID_MAX);
}

static int lower_groups(Arena *arena, const Runtime__V1__LinuxContainerSecurityContext *from,
                        Podmon__UserPlan *user, Failure *why)
{
    if (from->n_supplemental_groups > GROUPS_COUNT_MAX)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           FIELD ".supplemental_groups: %zu are more than %d",
                           from->n_supplemental_groups, GROUPS_COUNT_MAX);
    user->supplemental_groups =
        arena_alloc_array(arena, from->n_supplemental_groups, sizeof(uint32_t));
    for (size_t i = 0; i < from->n_supplemental_groups; i++) {
        int r = check_id("supplemental_groups", from->supplemental_groups[i], why);

        if (r < 0)
            return r;
        user->supplemental_groups[user->n_supplemental_groups++] =
            (uint32_t)from->supplemental_groups[i];
    }
    switch ((int)from->supplemental_groups_policy) {
    case RUNTIME__V1__SUPPLEMENTAL_GROUPS_POLICY__Merge:
        user->policy = PODMON__GROUPS_POLICY__GROUPS_MERGE;
        return 0;
    case RUNTIME__V1__SUPPLEMENTAL_GROUPS_POLICY__Strict:
        user->policy = PODMON__GROUPS_POLICY__GROUPS_STRICT;
        return 0;
    default:
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           FIELD ".supplemental_groups_policy: %d is not a policy",
                           (int)from->supplemental_groups_policy);
    }
}

/* The image's "user[:group]". */
static void use_image_user(Arena *arena, const Podmon__ImageRecord *image, Podmon__UserPlan *user)
{
    const char *colon = strchr(image->user, ':');

    if (!colon) {
        user->user = image->user;
        return;
    }
    user->user = arena_print(arena, "%.*s", (int)(colon - image->user), image->user);
    user->group = arena_copy(arena, colon + 1);
}

/* The request's number or name, else the image's user, else root. A name has to be in the image's
 * passwd; a number need not. */
static int lower_user(Arena *arena, const Runtime__V1__LinuxContainerSecurityContext *from,
                      const Podmon__ImageRecord *image, Podmon__UserPlan *user, Failure *why)
{
    const char *name = from->run_as_username;
    int r;

    if (from->run_as_user && *name)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           FIELD ".run_as_user and run_as_username: %" PRId64
                                 " and \"%.200s\" exclude each other",
                           from->run_as_user->value, name);
    if (from->run_as_group && !from->run_as_user && !*name)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           FIELD ".run_as_group: %" PRId64
                                 " without run_as_user or run_as_username",
                           from->run_as_group->value);
    if (from->run_as_user) {
        r = check_id("run_as_user", from->run_as_user->value, why);
        if (r < 0)
            return r;
        user->user = arena_print(arena, "%" PRId64, from->run_as_user->value);
    } else if (*name) {
        if (strlen(name) > 255 || !text_is_printable(name) || strpbrk(name, ": "))
            return check_refuse(why, name, "is not the name of a user", FIELD ".run_as_username");
        user->user = from->run_as_username;
        user->must_exist = true;
    } else {
        use_image_user(arena, image, user);
    }
    if (!from->run_as_group)
        return 0;
    r = check_id("run_as_group", from->run_as_group->value, why);
    if (r >= 0)
        user->group = arena_print(arena, "%" PRId64, from->run_as_group->value);
    return r;
}

/* The set of the names; "ALL" only sets *ret_all. */
static int lower_names(char **names, size_t count, const char *member, uint64_t *ret, bool *ret_all,
                       Failure *why)
{
    uint64_t set = 0;
    bool all = false;

    for (size_t i = 0; i < count; i++) {
        int number = capability_names_find(names[i]);

        if (number >= 0)
            set |= UINT64_C(1) << number;
        else if (strcasecmp(names[i], "ALL") == 0)
            all = true;
        else
            return check_refuse(why, names[i], *names[i] ? "is not a capability" : "is empty",
                                FIELD ".capabilities.%s[%zu]", member, i);
    }
    *ret = set;
    *ret_all = all;
    return 0;
}

/* ALL first, then single names, then those dropped, as every runtime does. What becomes ambient is
 * in the other sets too, or the kernel would not take it. */
static int lower_capabilities(const Runtime__V1__Capability *from, Podmon__SecurityPlan *security,
                              Failure *why)
{
    uint64_t set = capability_names_default();
    uint64_t add = 0, drop = 0, ambient = 0;
    bool add_all = false, drop_all = false, ambient_all = false;
    int r;

    if (from) {
        r = lower_names(from->add_capabilities, from->n_add_capabilities, "add_capabilities", &add,
                        &add_all, why);
        if (r < 0)
            return r;
        r = lower_names(from->drop_capabilities, from->n_drop_capabilities, "drop_capabilities",
                        &drop, &drop_all, why);
        if (r < 0)
            return r;
        r = lower_names(from->add_ambient_capabilities, from->n_add_ambient_capabilities,
                        "add_ambient_capabilities", &ambient, &ambient_all, why);
        if (r < 0)
            return r;
        if (ambient_all)
            ambient = capability_names_all();
        if (add_all)
            set = capability_names_all();
        if (drop_all)
            set = 0;
        set = (set | add | ambient) & ~drop;
        security->ambient_capabilities = ambient & set;
    }
    security->capabilities = security->privileged ? capability_names_all() : set;
    return 0;
}

/* An older way to name a profile: "runtime/default", "unconfined", "localhost/…". */
static int parse_profile(const char *text, const char *member, Podmon__ProfileKind *ret_kind,
                         const char **ret_name, Failure *why)
{
    static const char localhost[] = "localhost/";

    *ret_name = "";
    if (strcmp(text, "runtime/default") == 0 || strcmp(text, "docker/default") == 0)
        *ret_kind = PODMON__PROFILE_KIND__PROFILE_DEFAULT;
    else if (strcmp(text, "unconfined") == 0)
        *ret_kind = PODMON__PROFILE_KIND__PROFILE_UNCONFINED;
    else if (text_starts_with(text, localhost)) {
        *ret_kind = PODMON__PROFILE_KIND__PROFILE_LOCALHOST;
        *ret_name = text + strlen(localhost);
    } else
        return check_refuse(why, text, "is not runtime/default, unconfined or localhost/…",
                            FIELD ".%s", member);
    return 0;
}

/* The message, or the older text where there is none, or `otherwise`. */
static int lower_profile(const Runtime__V1__SecurityProfile *from, const char *member,
                         const char *text, const char *text_member, Podmon__ProfileKind otherwise,
                         Podmon__ProfileKind *ret_kind, const char **ret_name, Failure *why)
{
    *ret_kind = otherwise;
    *ret_name = "";
    if (!from)
        return *text ? parse_profile(text, text_member, ret_kind, ret_name, why) : 0;
    switch ((int)from->profile_type) {
    case RUNTIME__V1__SECURITY_PROFILE__PROFILE_TYPE__RuntimeDefault:
        *ret_kind = PODMON__PROFILE_KIND__PROFILE_DEFAULT;
        return 0;
    case RUNTIME__V1__SECURITY_PROFILE__PROFILE_TYPE__Unconfined:
        *ret_kind = PODMON__PROFILE_KIND__PROFILE_UNCONFINED;
        return 0;
    case RUNTIME__V1__SECURITY_PROFILE__PROFILE_TYPE__Localhost:
        *ret_kind = PODMON__PROFILE_KIND__PROFILE_LOCALHOST;
        *ret_name = from->localhost_ref;
        return 0;
    default:
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           FIELD ".%s.profile_type: %d is not a kind of profile", member,
                           (int)from->profile_type);
    }
}

/* No seccomp profile means unconfined, no AppArmor profile the node's default: Kubernetes says so.
 */
static int lower_profiles(const Runtime__V1__LinuxContainerSecurityContext *from,
                          Podmon__SecurityPlan *security, Failure *why)
{
    const char *name;
    int r;

    r = lower_profile(from->seccomp, "seccomp", from->seccomp_profile_path, "seccomp_profile_path",
                      PODMON__PROFILE_KIND__PROFILE_UNCONFINED, &security->seccomp, &name, why);
    if (r < 0)
        return r;
    if (security->seccomp == PODMON__PROFILE_KIND__PROFILE_LOCALHOST && !security->privileged) {
        const char *problem = check_absolute_path(name);

        if (problem)
            return check_refuse(why, name, problem, FIELD ".seccomp.localhost_ref");
        security->seccomp_profile_path = (char *)(uintptr_t)name;
    }
    r = lower_profile(from->apparmor, "apparmor", from->apparmor_profile, "apparmor_profile",
                      PODMON__PROFILE_KIND__PROFILE_DEFAULT, &security->apparmor, &name, why);
    if (r < 0)
        return r;
    if (security->apparmor == PODMON__PROFILE_KIND__PROFILE_LOCALHOST) {
        const char *problem = check_word(name);

        if (problem)
            return check_refuse(why, name, problem, FIELD ".apparmor.localhost_ref");
        security->apparmor_profile =
            (char *)(uintptr_t)(text_starts_with(name, "localhost/") ? name + strlen("localhost/")
                                                                     : name);
    }
    return 0;
}

/* proto3 cannot tell an empty list from none: both mean the defaults. "Unmasked" (no list at all)
 * is for pods with a user namespace of their own only. */
static int lower_paths(Arena *arena, const char *member, char **paths, size_t count,
                       const char *const *defaults, size_t defaults_count, char ***ret,
                       size_t *ret_count, Failure *why)
{
    char clean[PATH_MAX];

    if (count > PATHS_MAX)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, FIELD ".%s: %zu are more than %d", member,
                           count, PATHS_MAX);
    *ret_count = count > 0 ? count : defaults_count;
    *ret = arena_alloc_array(arena, *ret_count, sizeof(char *));
    for (size_t i = 0; i < count; i++) {
        const char *problem = check_absolute_path(paths[i]);

        if (!problem && (path_clean(paths[i], clean) < 0 || strcmp(clean, "/") == 0))
            problem = "is not a path to hide or to protect";
        if (problem)
            return check_refuse(why, paths[i], problem, FIELD ".%s[%zu]", member, i);
        (*ret)[i] = arena_copy(arena, clean);
    }
    for (size_t i = 0; count == 0 && i < defaults_count; i++)
        (*ret)[i] = (char *)(uintptr_t)defaults[i];
    return 0;
}

int lower_selinux(Arena *arena, const char *field, const Runtime__V1__SELinuxOption *from,
                  Podmon__SelinuxLabel **ret, Failure *why)
{
    Podmon__SelinuxLabel *label;

    if (!from || (!*from->user && !*from->role && !*from->type && !*from->level))
        return 0;
    const char *const parts[] = {from->user, from->role, from->type, from->level};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        const char *problem = *parts[i] ? check_word(parts[i]) : NULL;

        if (problem)
            return check_refuse(why, parts[i], problem, "%s", field);
    }
    label = arena_alloc(arena, sizeof(*label));
    podmon__selinux_label__init(label);
    label->user = from->user;
    label->role = from->role;
    label->type = from->type;
    label->level = from->level;
    *ret = label;
    return 0;
}

/* All capabilities and devices, nothing masked, no profile. The label is podmon's to choose. */
static void make_privileged(Podmon__SecurityPlan *security)
{
    security->all_devices = true;
    security->n_masked_paths = 0;
    security->n_read_only_paths = 0;
    security->seccomp = PODMON__PROFILE_KIND__PROFILE_UNCONFINED;
    security->seccomp_profile_path = (char *)(uintptr_t) "";
    security->apparmor = PODMON__PROFILE_KIND__PROFILE_UNCONFINED;
    security->apparmor_profile = (char *)(uintptr_t) "";
}

int lower_security(Arena *arena, const Runtime__V1__LinuxContainerSecurityContext *from,
                   const Podmon__PodRecord *pod, const Podmon__ImageRecord *image,
                   Podmon__ContainerSpec *spec, Failure *why)
{
    static const Runtime__V1__LinuxContainerSecurityContext nothing =
        RUNTIME__V1__LINUX_CONTAINER_SECURITY_CONTEXT__INIT;
    Podmon__SecurityPlan *security = arena_alloc(arena, sizeof(*security));
    Podmon__UserPlan *user = arena_alloc(arena, sizeof(*user));
    int r;

    podmon__security_plan__init(security);
    podmon__user_plan__init(user);
    spec->security = security;
    spec->user = user;
    if (!from)
        from = &nothing;
    if (from->privileged && !pod->spec->privileged)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           FIELD ".privileged: true in a sandbox that is not privileged");
    security->privileged = from->privileged;
    security->no_new_privileges = from->no_new_privs;
    security->read_only_rootfs = from->readonly_rootfs;

    r = lower_user(arena, from, image, user, why);
    if (r < 0)
        return r;
    r = lower_groups(arena, from, user, why);
    if (r < 0)
        return r;
    r = lower_capabilities(from->capabilities, security, why);
    if (r < 0)
        return r;
    r = lower_profiles(from, security, why);
    if (r < 0)
        return r;
    r = lower_paths(arena, "masked_paths", from->masked_paths, from->n_masked_paths, MASKED_PATHS,
                    sizeof(MASKED_PATHS) / sizeof(MASKED_PATHS[0]), &security->masked_paths,
                    &security->n_masked_paths, why);
    if (r < 0)
        return r;
    r = lower_paths(arena, "readonly_paths", from->readonly_paths, from->n_readonly_paths,
                    READ_ONLY_PATHS, sizeof(READ_ONLY_PATHS) / sizeof(READ_ONLY_PATHS[0]),
                    &security->read_only_paths, &security->n_read_only_paths, why);
    if (r < 0)
        return r;
    r = lower_selinux(arena, FIELD ".selinux_options", from->selinux_options, &security->selinux,
                      why);
    if (r >= 0 && from->privileged)
        make_privileged(security);
    return r;
}
