/* SPDX-License-Identifier: Apache-2.0 */
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

/* Absent options and mode NODE without mappings are the host's user namespace. */
static int check_user_namespace(const Runtime__V1__UserNamespace *from, Failure *why)
{
    Podmon__NamespaceMode mode = PODMON__NAMESPACE_MODE__NAMESPACE_NODE;
    int r;

    if (!from)
        return 0;
    r = lower_mode(from->mode, ALLOW(POD) | ALLOW(NODE), "userns_options.mode", &mode, why);
    if (r < 0)
        return r;
    if (mode == PODMON__NAMESPACE_MODE__NAMESPACE_POD)
        return failure_say(why, FAILURE_UNIMPLEMENTED,
                           FIELD
                           ".userns_options.mode: POD: pods with a user namespace of their "
                           "own are not built yet");
    if (from->n_uids > 0 || from->n_gids > 0)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           FIELD ".userns_options: mappings with mode NODE");
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
        r = check_user_namespace(from->userns_options, why);
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
    namespaces->user = pod->spec->namespaces->user;
    namespaces->pid = pod->spec->namespaces->pid;
    if (from) {
        r = lower_mode(from->network, ALLOW(POD) | ALLOW(NODE), "network", &unused, why);
        if (r < 0)
            return r;
        r = lower_mode(from->ipc, ALLOW(POD) | ALLOW(NODE), "ipc", &unused, why);
        if (r < 0)
            return r;
        r = check_user_namespace(from->userns_options, why);
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
