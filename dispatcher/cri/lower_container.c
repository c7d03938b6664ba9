/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cri/lower.h"

#include <limits.h>
#include <signal.h>
#include <string.h>

#include "dispatcher/cri/check.h"
#include "dispatcher/cri/lower_part.h"
#include "dispatcher/cri/map.h"
#include "dispatcher/cri/signal_names.h"
#include "shared/path.h"

enum { DEVICES_MAX = 4096 };

static int lower_identity(const LowerContext *context, const Runtime__V1__ContainerConfig *from,
                          Podmon__ContainerSpec *spec, Failure *why)
{
    const char *problem;

    if (!from->metadata)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "config.metadata: is missing");
    problem = check_metadata_name(from->metadata->name);
    if (problem)
        return check_refuse(why, from->metadata->name, problem, "config.metadata.name");
    if (map_size(from->labels, from->n_labels) + map_size(from->annotations, from->n_annotations) >
        LOWER_METADATA_MAX)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "config.labels and config.annotations: together more than 1 MiB");
    spec->name = from->metadata->name;
    spec->attempt = from->metadata->attempt;
    spec->n_labels = from->n_labels;
    spec->labels = map_to_pairs(context->arena, from->labels, from->n_labels);
    spec->n_annotations = from->n_annotations;
    spec->annotations = map_to_pairs(context->arena, from->annotations, from->n_annotations);
    return 0;
}

/* A log file needs both the pod's directory and the container's path in it. */
static int lower_log_path(const Runtime__V1__ContainerConfig *from, const Podmon__PodRecord *pod,
                          Podmon__ContainerSpec *spec, Failure *why)
{
    const char *problem = *from->log_path ? check_relative_path(from->log_path) : NULL;

    if (problem)
        return check_refuse(why, from->log_path, problem, "config.log_path");
    if (*pod->spec->log_directory)
        spec->log_path = from->log_path;
    return 0;
}

static void lower_image(Arena *arena, const Runtime__V1__ContainerConfig *from,
                        const Podmon__ImageRecord *image, char **layers,
                        Podmon__ContainerSpec *spec)
{
    const Runtime__V1__ImageSpec *asked = from->image;
    Podmon__ImageUse *use = arena_alloc(arena, sizeof(*use));

    podmon__image_use__init(use);
    use->name = asked->image;
    use->user_specified_image = asked->user_specified_image;
    use->image_id = image->id;
    use->image_ref = image->n_digests > 0 ? image->digests[0] : image->id;
    use->n_annotations = asked->n_annotations;
    use->annotations = map_to_pairs(arena, asked->annotations, asked->n_annotations);
    spec->image = use;
    spec->n_layers = image->n_layers;
    spec->layers = layers;
    spec->n_volumes = image->n_volumes;
    spec->volumes = image->volumes;
}

static const char *check_permissions(const char *text)
{
    if (strlen(text) > 3 || text[strspn(text, "rwm")])
        return "is not of the letters r, w and m";
    for (const char *c = text; *c; c++)
        if (strchr(c + 1, *c))
            return "has a letter twice";
    return NULL;
}

static int lower_device(Arena *arena, const Runtime__V1__Device *from, size_t position,
                        Podmon__Device **ret, Failure *why)
{
    char path[PATH_MAX];
    Podmon__Device *device = arena_alloc(arena, sizeof(*device));
    const char *problem = check_absolute_path(from->host_path);

    if (problem)
        return check_refuse(why, from->host_path, problem, "config.devices[%zu].host_path",
                            position);
    problem = check_absolute_path(from->container_path);
    if (!problem && (path_clean(from->container_path, path) < 0 || strcmp(path, "/") == 0))
        problem = "is not a place for a device";
    if (problem)
        return check_refuse(why, from->container_path, problem,
                            "config.devices[%zu].container_path", position);
    problem = check_permissions(from->permissions);
    if (problem)
        return check_refuse(why, from->permissions, problem, "config.devices[%zu].permissions",
                            position);
    podmon__device__init(device);
    device->container_path = arena_copy(arena, path);
    device->host_path = from->host_path;
    device->permissions = *from->permissions ? from->permissions : (char *)(uintptr_t) "rwm";
    *ret = device;
    return 0;
}

static int lower_devices(Arena *arena, const Runtime__V1__ContainerConfig *from,
                         Podmon__ContainerSpec *spec, Failure *why)
{
    if (from->n_devices > DEVICES_MAX)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "config.devices: %zu are more than %d",
                           from->n_devices, DEVICES_MAX);
    spec->devices = arena_alloc_array(arena, from->n_devices, sizeof(Podmon__Device *));
    for (size_t i = 0; i < from->n_devices; i++) {
        int r = lower_device(arena, from->devices[i], i, &spec->devices[i], why);

        if (r < 0)
            return r;
    }
    spec->n_devices = from->n_devices;
    return 0;
}

/* The request's, else the image's, else SIGTERM. */
static int lower_stop_signal(const Runtime__V1__ContainerConfig *from,
                             const Podmon__ImageRecord *image, Podmon__ContainerSpec *spec,
                             Failure *why)
{
    const ProtobufCEnumValue *value;

    spec->stop_signal = SIGTERM;
    if (from->stop_signal != RUNTIME__V1__SIGNAL__SIGNAL_RUNTIME_DEFAULT) {
        spec->stop_signal = signal_names_of_api(from->stop_signal);
        if (spec->stop_signal < 0)
            return failure_say(why, FAILURE_INVALID_ARGUMENT,
                               "config.stop_signal: %d is not a signal", (int)from->stop_signal);
        value = protobuf_c_enum_descriptor_get_value(&runtime__v1__signal__descriptor,
                                                     (int)from->stop_signal);
        spec->stop_signal_name = (char *)(uintptr_t)value->name;
    } else if (*image->stop_signal) {
        spec->stop_signal = signal_names_find(image->stop_signal);
        if (spec->stop_signal < 0)
            return failure_say(why, FAILURE_FAILED_PRECONDITION,
                               "config.image: the image's stop signal \"%.100s\" is not a signal",
                               image->stop_signal);
    }
    return 0;
}

static int lower_linux(const LowerContext *context, const Runtime__V1__LinuxContainerConfig *from,
                       const Podmon__PodRecord *pod, const Podmon__ImageRecord *image,
                       Podmon__ContainerSpec *spec, Failure *why)
{
    const Runtime__V1__LinuxContainerSecurityContext *security =
        from ? from->security_context : NULL;
    Arena *arena = context->arena;
    int r;

    r = lower_container_namespaces(arena, security ? security->namespace_options : NULL, pod,
                                   &spec->namespaces, why);
    if (r < 0)
        return r;
    r = lower_security(arena, security, pod, image, spec, why);
    if (r < 0)
        return r;
    r = lower_resources(arena, "config.linux.resources", from ? from->resources : NULL,
                        &spec->resources, why);
    if (r < 0)
        return r;
    spec->resources->pids_limit = context->config->pids_limit;
    return 0;
}

int lower_container(const LowerContext *context, const Runtime__V1__ContainerConfig *config,
                    const Podmon__PodRecord *pod, const Podmon__ImageRecord *image, char **layers,
                    const char *id, Podmon__ContainerSpec **ret, Failure *why)
{
    Podmon__ContainerSpec *spec = arena_alloc(context->arena, sizeof(*spec));
    int r;

    podmon__container_spec__init(spec);
    spec->id = arena_copy(context->arena, id);
    r = lower_identity(context, config, spec, why);
    if (r < 0)
        return r;
    lower_image(context->arena, config, image, layers, spec);
    r = lower_log_path(config, pod, spec, why);
    if (r < 0)
        return r;
    r = lower_linux(context, config->linux, pod, image, spec, why);
    if (r < 0)
        return r;
    r = lower_process(context, config, pod, image, spec, why);
    if (r < 0)
        return r;
    r = lower_mounts(context->arena, config, spec, why);
    if (r < 0)
        return r;
    r = lower_devices(context->arena, config, spec, why);
    if (r < 0)
        return r;
    r = lower_stop_signal(config, image, spec, why);
    if (r < 0)
        return r;
    spec->stdin = config->stdin;
    spec->stdin_once = config->stdin_once;
    spec->tty = config->tty;
    *ret = spec;
    return 0;
}
