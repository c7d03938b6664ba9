/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "dispatcher/cri/check.h"
#include "dispatcher/cri/lower_part.h"
#include "dispatcher/cri/map.h"
#include "shared/id.h"
#include "shared/text.h"

#define FIELD "config.linux.security_context.namespace_options"

static const char *const MODE_NAMES[] = {
    [RUNTIME__V1__NAMESPACE_MODE__POD] = "POD",
    [RUNTIME__V1__NAMESPACE_MODE__CONTAINER] = "CONTAINER",
    [RUNTIME__V1__NAMESPACE_MODE__NODE] = "NODE",
    [RUNTIME__V1__NAMESPACE_MODE__TARGET] = "TARGET",
};

static const Podmon__NamespaceMode MODES[] = {
    [RUNTIME__V1__NAMESPACE_MODE__POD] = PODMON__NAMESPACE_MODE__NAMESPACE_POD,
    [RUNTIME__V1__NAMESPACE_MODE__CONTAINER] = PODMON__NAMESPACE_MODE__NAMESPACE_CONTAINER,
    [RUNTIME__V1__NAMESPACE_MODE__NODE] = PODMON__NAMESPACE_MODE__NAMESPACE_NODE,
    [RUNTIME__V1__NAMESPACE_MODE__TARGET] = PODMON__NAMESPACE_MODE__NAMESPACE_TARGET,
};

enum { MODES_COUNT = sizeof(MODES) / sizeof(MODES[0]) };

#define ALLOW(mode) (1U << RUNTIME__V1__NAMESPACE_MODE__##mode)

/* A mode that is one of those allowed (a set of ALLOW bits). */
static int lower_mode(Runtime__V1__NamespaceMode mode, unsigned allowed, const char *member,
                      Podmon__NamespaceMode *ret, Failure *why)
{
    if ((unsigned)mode >= MODES_COUNT)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, FIELD ".%s: %d is not a namespace mode",
                           member, (int)mode);
    if (!(allowed & 1U << mode))
        return failure_say(why, FAILURE_INVALID_ARGUMENT, FIELD ".%s: %s is not possible here",
                           member, MODE_NAMES[mode]);
    *ret = MODES[mode];
    return 0;
}

/* Exactly one range, that has the container's root in it: more is not promised by the API. */
static int lower_mapping(Arena *arena, Runtime__V1__IDMapping *const *from, size_t count,
                         const char *member, Podmon__IdMapping ***ret, size_t *ret_count,
                         Failure *why)
{
    Podmon__IdMapping *mapping;

    if (count != 1)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           FIELD ".userns_options.%s: %zu mappings, where there has to be one",
                           member, count);
    if (from[0]->container_id != 0)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           FIELD ".userns_options.%s[0].container_id: %" PRIu32
                                 " leaves 0 unmapped",
                           member, from[0]->container_id);
    if (from[0]->length == 0 || from[0]->length > UINT32_MAX - from[0]->host_id)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           FIELD ".userns_options.%s[0].length: %" PRIu32 " from %" PRIu32
                                 " on is no range of ids",
                           member, from[0]->length, from[0]->host_id);
    mapping = arena_alloc(arena, sizeof(*mapping));
    podmon__id_mapping__init(mapping);
    mapping->host_id = from[0]->host_id;
    mapping->length = from[0]->length;
    *ret = arena_alloc_array(arena, 1, sizeof(Podmon__IdMapping *));
    (*ret)[0] = mapping;
    *ret_count = 1;
    return 0;
}

/* Absent options and mode NODE without mappings are the host's user namespace. */
static int lower_user_namespace(Arena *arena, const Runtime__V1__UserNamespace *from,
                                Podmon__Namespaces *namespaces, Failure *why)
{
    int r;

    namespaces->user = PODMON__NAMESPACE_MODE__NAMESPACE_NODE;
    if (!from)
        return 0;
    r = lower_mode(from->mode, ALLOW(POD) | ALLOW(NODE), "userns_options.mode", &namespaces->user,
                   why);
    if (r < 0)
        return r;
    if (namespaces->user == PODMON__NAMESPACE_MODE__NAMESPACE_NODE)
        return from->n_uids + from->n_gids == 0
                   ? 0
                   : failure_say(why, FAILURE_INVALID_ARGUMENT,
                                 FIELD ".userns_options: mappings with mode NODE");
    r = lower_mapping(arena, from->uids, from->n_uids, "uids", &namespaces->uid_mappings,
                      &namespaces->n_uid_mappings, why);
    return r < 0 ? r
                 : lower_mapping(arena, from->gids, from->n_gids, "gids", &namespaces->gid_mappings,
                                 &namespaces->n_gid_mappings, why);
}

static bool mappings_are_equal(Podmon__IdMapping *const *left, size_t left_count,
                               Podmon__IdMapping *const *right, size_t right_count)
{
    return left_count == right_count &&
           (left_count == 0 || (left[0]->host_id == right[0]->host_id &&
                                left[0]->container_id == right[0]->container_id &&
                                left[0]->length == right[0]->length));
}

/* A container is in its pod's user namespace; options that say something else are a mistake. */
static int use_pods_user_namespace(Arena *arena, const Runtime__V1__UserNamespace *from,
                                   const Podmon__Namespaces *of_pod, Podmon__Namespaces *namespaces,
                                   Failure *why)
{
    Podmon__Namespaces asked = PODMON__NAMESPACES__INIT;
    int r = from ? lower_user_namespace(arena, from, &asked, why) : 0;

    if (r < 0)
        return r;
    if (from && (asked.user != of_pod->user ||
                 !mappings_are_equal(asked.uid_mappings, asked.n_uid_mappings, of_pod->uid_mappings,
                                     of_pod->n_uid_mappings) ||
                 !mappings_are_equal(asked.gid_mappings, asked.n_gid_mappings, of_pod->gid_mappings,
                                     of_pod->n_gid_mappings)))
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           FIELD ".userns_options: are not those of the sandbox");
    namespaces->user = of_pod->user;
    namespaces->n_uid_mappings = of_pod->n_uid_mappings;
    namespaces->uid_mappings = of_pod->uid_mappings;
    namespaces->n_gid_mappings = of_pod->n_gid_mappings;
    namespaces->gid_mappings = of_pod->gid_mappings;
    return 0;
}

int lower_pod_namespaces(Arena *arena, const Runtime__V1__NamespaceOption *from,
                         Podmon__Namespaces **ret, Failure *why)
{
    Podmon__Namespaces *namespaces = arena_alloc(arena, sizeof(*namespaces));
    int r;

    podmon__namespaces__init(namespaces);
    namespaces->user = PODMON__NAMESPACE_MODE__NAMESPACE_NODE;
    if (from) {
        r = lower_mode(from->network, ALLOW(POD) | ALLOW(NODE), "network", &namespaces->network,
                       why);
        if (r < 0)
            return r;
        r = lower_mode(from->pid, ALLOW(POD) | ALLOW(CONTAINER) | ALLOW(NODE), "pid",
                       &namespaces->pid, why);
        if (r < 0)
            return r;
        r = lower_mode(from->ipc, ALLOW(POD) | ALLOW(NODE), "ipc", &namespaces->ipc, why);
        if (r < 0)
            return r;
        r = lower_user_namespace(arena, from->userns_options, namespaces, why);
        if (r < 0)
            return r;
    }
    *ret = namespaces;
    return 0;
}

static int find_target(const Podmon__PodRecord *pod, const char *target, const char **ret,
                       Failure *why)
{
    if (!id_is_prefix(target))
        return check_refuse(why, target, *target ? "is not a container id" : "must not be empty",
                            FIELD ".target_id");
    for (size_t i = 0; i < pod->n_containers; i++) {
        const Podmon__ContainerRecord *container = pod->containers[i];

        if (!text_starts_with(container->spec->id, target))
            continue;
        if (container->phase != PODMON__CONTAINER_PHASE__CONTAINER_RUNNING)
            return failure_say(why, FAILURE_FAILED_PRECONDITION,
                               FIELD ".target_id: container \"%s\" does not run", target);
        *ret = container->spec->id;
        return 0;
    }
    return failure_say(why, FAILURE_NOT_FOUND, FIELD ".target_id: no container \"%s\" in this pod",
                       target);
}

/* POD means what the pod has: in a pod on the host's pids the host's, in one whose containers have
 * a namespace each one of its own. The host's is for containers of pods that have it, no others. */
static int lower_pid(const Runtime__V1__NamespaceOption *from, const Podmon__PodRecord *pod,
                     Podmon__Namespaces *namespaces, Failure *why)
{
    Podmon__NamespaceMode of_pod = pod->spec->namespaces->pid;
    const char *target = NULL;
    int r;

    r = lower_mode(from->pid, ALLOW(POD) | ALLOW(CONTAINER) | ALLOW(NODE) | ALLOW(TARGET), "pid",
                   &namespaces->pid, why);
    if (r < 0)
        return r;
    if (namespaces->pid == PODMON__NAMESPACE_MODE__NAMESPACE_POD)
        namespaces->pid = of_pod;
    if (namespaces->pid == PODMON__NAMESPACE_MODE__NAMESPACE_NODE &&
        of_pod != PODMON__NAMESPACE_MODE__NAMESPACE_NODE)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           FIELD ".pid: NODE in a sandbox that is not on the host's pids");
    if (namespaces->pid != PODMON__NAMESPACE_MODE__NAMESPACE_TARGET)
        return 0;
    r = find_target(pod, from->target_id, &target, why);
    if (r >= 0)
        namespaces->target_id = (char *)(uintptr_t)target;
    return r;
}

int lower_container_namespaces(Arena *arena, const Runtime__V1__NamespaceOption *from,
                               const Podmon__PodRecord *pod, Podmon__Namespaces **ret, Failure *why)
{
    Podmon__Namespaces *namespaces = arena_alloc(arena, sizeof(*namespaces));
    Podmon__NamespaceMode unused = PODMON__NAMESPACE_MODE__NAMESPACE_POD;
    int r;

    podmon__namespaces__init(namespaces);
    namespaces->network = pod->spec->namespaces->network;
    namespaces->ipc = pod->spec->namespaces->ipc;
    namespaces->pid = pod->spec->namespaces->pid;
    r = use_pods_user_namespace(arena, from ? from->userns_options : NULL, pod->spec->namespaces,
                                namespaces, why);
    if (r < 0)
        return r;
    if (from) {
        r = lower_mode(from->network, ALLOW(POD) | ALLOW(NODE), "network", &unused, why);
        if (r < 0)
            return r;
        r = lower_mode(from->ipc, ALLOW(POD) | ALLOW(NODE), "ipc", &unused, why);
        if (r < 0)
            return r;
        r = lower_pid(from, pod, namespaces, why);
        if (r < 0)
            return r;
    }
    *ret = namespaces;
    return 0;
}

typedef enum SysctlScope { SYSCTL_NOBODY, SYSCTL_NETWORK, SYSCTL_IPC } SysctlScope;

/* `key` with dots only. What is not listed belongs to the whole node. */
static SysctlScope sysctl_scope(const char *key)
{
    if (text_starts_with(key, "net."))
        return SYSCTL_NETWORK;
    if (text_starts_with(key, "fs.mqueue.") || text_starts_with(key, "kernel.shm") ||
        text_starts_with(key, "kernel.msg") || strcmp(key, "kernel.sem") == 0)
        return SYSCTL_IPC;
    return SYSCTL_NOBODY;
}

static const char *check_sysctl_key(Arena *arena, const char *key,
                                    const Podmon__Namespaces *namespaces)
{
    char *dotted = arena_copy(arena, key);

    if (!*key)
        return "must not be empty";
    if (strlen(key) > 255 || key[strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789_.-/")])
        return "is not the name of a sysctl";
    for (char *c = dotted; *c; c++)
        if (*c == '/')
            *c = '.';
    if (*dotted == '.' || strstr(dotted, "..") || dotted[strlen(dotted) - 1] == '.')
        return "is not the name of a sysctl";
    switch (sysctl_scope(dotted)) {
    case SYSCTL_NETWORK:
        return namespaces->network == PODMON__NAMESPACE_MODE__NAMESPACE_NODE
                   ? "cannot be set in a pod on the host's network"
                   : NULL;
    case SYSCTL_IPC:
        return namespaces->ipc == PODMON__NAMESPACE_MODE__NAMESPACE_NODE
                   ? "cannot be set in a pod on the host's IPC"
                   : NULL;
    case SYSCTL_NOBODY:
        break;
    }
    return "is not a sysctl that a pod has to itself";
}

int lower_sysctls(Arena *arena, const Runtime__V1__LinuxPodSandboxConfig *from,
                  const Podmon__Namespaces *namespaces, Podmon__PodSpec *spec, Failure *why)
{
    for (size_t i = 0; i < from->n_sysctls; i++) {
        const char *key = map_key(from->sysctls, i), *value = map_value(from->sysctls, i);
        const char *problem = check_sysctl_key(arena, key, namespaces);

        if (problem)
            return check_refuse(why, key, problem, "config.linux.sysctls");
        problem = check_kernel_value(value);
        if (problem)
            return check_refuse(why, value, problem, "config.linux.sysctls[\"%s\"]", key);
    }
    spec->n_sysctls = from->n_sysctls;
    spec->sysctls = map_to_pairs(arena, from->sysctls, from->n_sysctls);
    return 0;
}
