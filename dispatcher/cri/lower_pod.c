/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cri/lower.h"

#include <limits.h>
#include <string.h>

#include "dispatcher/cri/check.h"
#include "dispatcher/cri/lower_part.h"
#include "dispatcher/cri/map.h"
#include "shared/path.h"

int lower_pod_name(Arena *arena, const Runtime__V1__PodSandboxConfig *config, Podmon__PodName **ret,
                   Failure *why)
{
    const Runtime__V1__PodSandboxMetadata *from = config ? config->metadata : NULL;
    const char *problem;
    Podmon__PodName *name;

    if (!from)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "config.metadata: is missing");
    const struct {
        const char *field;
        const char *value;
    } parts[] = {
        {"name", from->name},
        {"namespace", from->namespace_},
        {"uid", from->uid},
    };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        problem = check_metadata_name(parts[i].value);
        if (problem)
            return check_refuse(why, parts[i].value, problem, "config.metadata.%s", parts[i].field);
    }

    name = arena_alloc(arena, sizeof(*name));
    podmon__pod_name__init(name);
    name->name = from->name;
    name->namespace_ = from->namespace_;
    name->uid = from->uid;
    name->attempt = from->attempt;
    *ret = name;
    return 0;
}

static int lower_labels(Arena *arena, const Runtime__V1__PodSandboxConfig *config,
                        Podmon__PodSpec *spec, Failure *why)
{
    if (map_size(config->labels, config->n_labels) +
            map_size(config->annotations, config->n_annotations) >
        LOWER_METADATA_MAX)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "config.labels and config.annotations: together more than 1 MiB");
    spec->n_labels = config->n_labels;
    spec->labels = map_to_pairs(arena, config->labels, config->n_labels);
    spec->n_annotations = config->n_annotations;
    spec->annotations = map_to_pairs(arena, config->annotations, config->n_annotations);
    return 0;
}

/* A pod with a network of its own always has a hostname; with the host's network, none means the
 * host's. */
static int lower_hostname(const LowerContext *context, const char *hostname, Podmon__PodSpec *spec,
                          Failure *why)
{
    const char *problem = *hostname ? check_hostname(hostname) : NULL;

    if (problem)
        return check_refuse(why, hostname, problem, "config.hostname");
    if (!*hostname && spec->namespaces->network == PODMON__NAMESPACE_MODE__NAMESPACE_POD)
        hostname = context->node_hostname;
    spec->hostname = arena_copy(context->arena, hostname);
    return 0;
}

static int lower_log_directory(Arena *arena, const char *path, Podmon__PodSpec *spec, Failure *why)
{
    char clean[PATH_MAX];
    const char *problem;

    if (!*path)
        return 0;
    problem = check_absolute_path(path);
    if (!problem && path_clean(path, clean) < 0)
        problem = "is longer than a path can be";
    if (problem)
        return check_refuse(why, path, problem, "config.log_directory");
    spec->log_directory = arena_copy(arena, clean);
    return 0;
}

/* What containers of the pod have where they ask for nothing else. Without SELinux a level of the
 * pod's own would mean nothing, and an asked one is refused. */
static int lower_pod_selinux(const LowerContext *context, const Runtime__V1__SELinuxOption *from,
                             Podmon__PodSpec *spec, Failure *why)
{
    static const char field[] = "config.linux.security_context.selinux_options";
    int r = lower_selinux(context->arena, field, from, &spec->selinux, why);

    if (r < 0)
        return r;
    if (!context->selinux_level)
        return spec->selinux ? failure_say(why, FAILURE_FAILED_PRECONDITION,
                                           "%s: this kernel runs without SELinux", field)
                             : 0;
    if (!spec->selinux) {
        spec->selinux = arena_alloc(context->arena, sizeof(*spec->selinux));
        podmon__selinux_label__init(spec->selinux);
    }
    if (!*spec->selinux->level)
        spec->selinux->level = (char *)(uintptr_t)context->selinux_level;
    return 0;
}

static int lower_linux(const LowerContext *context, const Runtime__V1__LinuxPodSandboxConfig *from,
                       Podmon__PodSpec *spec, Failure *why)
{
    const Runtime__V1__LinuxSandboxSecurityContext *security = from ? from->security_context : NULL;
    Arena *arena = context->arena;
    int r;

    r = lower_pod_namespaces(arena, security ? security->namespace_options : NULL,
                             &spec->namespaces, why);
    if (r < 0)
        return r;
    r = lower_cgroup(context, from ? from->cgroup_parent : "", spec->name, spec->id, &spec->cgroup,
                     why);
    if (r >= 0)
        r = lower_pod_selinux(context, security ? security->selinux_options : NULL, spec, why);
    if (r < 0 || !from)
        return r;
    spec->cgroup_parent = from->cgroup_parent;
    spec->privileged = security && security->privileged;
    r = lower_sysctls(arena, from, spec->namespaces, spec, why);
    if (r < 0)
        return r;
    if (from->overhead)
        r = lower_resources(arena, "config.linux.overhead", from->overhead, &spec->overhead, why);
    if (r >= 0 && from->resources)
        r = lower_resources(arena, "config.linux.resources", from->resources, &spec->resources,
                            why);
    return r;
}

int lower_pod(const LowerContext *context, const Runtime__V1__RunPodSandboxRequest *request,
              const char *id, Podmon__PodSpec **ret, Failure *why)
{
    const Runtime__V1__PodSandboxConfig *config = request->config;
    Arena *arena = context->arena;
    Podmon__PodSpec *spec = arena_alloc(arena, sizeof(*spec));
    int r;

    podmon__pod_spec__init(spec);
    spec->id = arena_copy(arena, id);
    r = lower_pod_name(arena, config, &spec->name, why);
    if (r < 0)
        return r;
    if (*request->runtime_handler)
        return check_refuse(why, request->runtime_handler, "is not configured on this node",
                            "runtime_handler");
    spec->shm_size = context->config->shm_size;
    spec->drain_timeout_ms = context->config->drain_timeout_ms;
    spec->sample_period_ms = context->config->stats_period_ms;
    spec->cadvisor = context->config->cadvisor_socket != NULL;

    r = lower_labels(arena, config, spec, why);
    if (r < 0)
        return r;
    r = lower_log_directory(arena, config->log_directory, spec, why);
    if (r < 0)
        return r;
    r = lower_linux(context, config->linux, spec, why);
    if (r < 0)
        return r;
    r = lower_hostname(context, config->hostname, spec, why);
    if (r < 0)
        return r;
    r = lower_network(context, config, spec, why);
    if (r < 0)
        return r;
    *ret = spec;
    return 0;
}
