/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cri/raise.h"

#include <string.h>

#include "dispatcher/cri/map.h"
#include "dispatcher/cri/signal_names.h"
#include "shared/number.h"

Runtime__V1__PodSandboxState raise_pod_state(const Podmon__PodRecord *pod)
{
    return pod->phase == PODMON__POD_PHASE__POD_READY
               ? RUNTIME__V1__POD_SANDBOX_STATE__SANDBOX_READY
               : RUNTIME__V1__POD_SANDBOX_STATE__SANDBOX_NOTREADY;
}

Runtime__V1__ContainerState raise_container_state(const Podmon__ContainerRecord *container)
{
    switch ((int)container->phase) {
    case PODMON__CONTAINER_PHASE__CONTAINER_CREATED:
        return RUNTIME__V1__CONTAINER_STATE__CONTAINER_CREATED;
    case PODMON__CONTAINER_PHASE__CONTAINER_RUNNING:
        return RUNTIME__V1__CONTAINER_STATE__CONTAINER_RUNNING;
    case PODMON__CONTAINER_PHASE__CONTAINER_EXITED:
        return RUNTIME__V1__CONTAINER_STATE__CONTAINER_EXITED;
    default:
        return RUNTIME__V1__CONTAINER_STATE__CONTAINER_UNKNOWN;
    }
}

Runtime__V1__PodSandboxMetadata *raise_pod_name(Arena *arena, const Podmon__PodName *name)
{
    Runtime__V1__PodSandboxMetadata *metadata = arena_alloc(arena, sizeof(*metadata));

    runtime__v1__pod_sandbox_metadata__init(metadata);
    metadata->name = name->name;
    metadata->namespace_ = name->namespace_;
    metadata->uid = name->uid;
    metadata->attempt = name->attempt;
    return metadata;
}

Runtime__V1__PodSandbox *raise_pod(Arena *arena, const Podmon__PodRecord *pod)
{
    const Podmon__PodSpec *spec = pod->spec;
    Runtime__V1__PodSandbox *sandbox = arena_alloc(arena, sizeof(*sandbox));

    runtime__v1__pod_sandbox__init(sandbox);
    sandbox->id = spec->id;
    sandbox->metadata = raise_pod_name(arena, spec->name);
    sandbox->state = raise_pod_state(pod);
    sandbox->created_at = pod->created_at;
    sandbox->n_labels = spec->n_labels;
    sandbox->labels = map_from_pairs(arena, &runtime__v1__pod_sandbox__labels_entry__descriptor,
                                     spec->labels, spec->n_labels);
    sandbox->n_annotations = spec->n_annotations;
    sandbox->annotations =
        map_from_pairs(arena, &runtime__v1__pod_sandbox__annotations_entry__descriptor,
                       spec->annotations, spec->n_annotations);
    sandbox->runtime_handler = spec->runtime_handler;
    return sandbox;
}

/* Without addresses of its own (the host's network, a pod that has stopped) the message is there
 * and empty. */
static Runtime__V1__PodSandboxNetworkStatus *raise_network(Arena *arena,
                                                           const Podmon__PodRecord *pod)
{
    Runtime__V1__PodSandboxNetworkStatus *network = arena_alloc(arena, sizeof(*network));

    runtime__v1__pod_sandbox_network_status__init(network);
    if (pod->n_ips == 0)
        return network;
    network->ip = pod->ips[0];
    network->additional_ips =
        arena_alloc_array(arena, pod->n_ips - 1, sizeof(Runtime__V1__PodIP *));
    for (size_t i = 1; i < pod->n_ips; i++) {
        Runtime__V1__PodIP *address = arena_alloc(arena, sizeof(*address));

        runtime__v1__pod_ip__init(address);
        address->ip = pod->ips[i];
        network->additional_ips[network->n_additional_ips++] = address;
    }
    return network;
}

static Runtime__V1__NamespaceMode raise_mode(Podmon__NamespaceMode mode)
{
    switch ((int)mode) {
    case PODMON__NAMESPACE_MODE__NAMESPACE_CONTAINER:
        return RUNTIME__V1__NAMESPACE_MODE__CONTAINER;
    case PODMON__NAMESPACE_MODE__NAMESPACE_NODE:
        return RUNTIME__V1__NAMESPACE_MODE__NODE;
    case PODMON__NAMESPACE_MODE__NAMESPACE_TARGET:
        return RUNTIME__V1__NAMESPACE_MODE__TARGET;
    default:
        return RUNTIME__V1__NAMESPACE_MODE__POD;
    }
}

static Runtime__V1__LinuxPodSandboxStatus *raise_pod_linux(Arena *arena,
                                                           const Podmon__Namespaces *from)
{
    Runtime__V1__LinuxPodSandboxStatus *status = arena_alloc(arena, sizeof(*status));
    Runtime__V1__Namespace *namespaces = arena_alloc(arena, sizeof(*namespaces));
    Runtime__V1__NamespaceOption *options = arena_alloc(arena, sizeof(*options));

    runtime__v1__linux_pod_sandbox_status__init(status);
    runtime__v1__namespace__init(namespaces);
    runtime__v1__namespace_option__init(options);
    options->network = raise_mode(from->network);
    options->pid = raise_mode(from->pid);
    options->ipc = raise_mode(from->ipc);
    namespaces->options = options;
    status->namespaces = namespaces;
    return status;
}

Runtime__V1__PodSandboxStatus *raise_pod_status(Arena *arena, const Podmon__PodRecord *pod)
{
    const Podmon__PodSpec *spec = pod->spec;
    Runtime__V1__PodSandboxStatus *status = arena_alloc(arena, sizeof(*status));

    runtime__v1__pod_sandbox_status__init(status);
    status->id = spec->id;
    status->metadata = raise_pod_name(arena, spec->name);
    status->state = raise_pod_state(pod);
    status->created_at = pod->created_at;
    status->network = raise_network(arena, pod);
    status->linux = raise_pod_linux(arena, spec->namespaces);
    status->n_labels = spec->n_labels;
    status->labels =
        map_from_pairs(arena, &runtime__v1__pod_sandbox_status__labels_entry__descriptor,
                       spec->labels, spec->n_labels);
    status->n_annotations = spec->n_annotations;
    status->annotations =
        map_from_pairs(arena, &runtime__v1__pod_sandbox_status__annotations_entry__descriptor,
                       spec->annotations, spec->n_annotations);
    status->runtime_handler = spec->runtime_handler;
    return status;
}

Runtime__V1__ContainerMetadata *raise_container_name(Arena *arena,
                                                     const Podmon__ContainerSpec *spec)
{
    Runtime__V1__ContainerMetadata *metadata = arena_alloc(arena, sizeof(*metadata));

    runtime__v1__container_metadata__init(metadata);
    metadata->name = spec->name;
    metadata->attempt = spec->attempt;
    return metadata;
}

static Runtime__V1__ImageSpec *raise_image_use(Arena *arena, const Podmon__ImageUse *use)
{
    Runtime__V1__ImageSpec *image = arena_alloc(arena, sizeof(*image));

    runtime__v1__image_spec__init(image);
    image->image = use->name;
    image->user_specified_image = use->user_specified_image;
    image->n_annotations = use->n_annotations;
    image->annotations =
        map_from_pairs(arena, &runtime__v1__image_spec__annotations_entry__descriptor,
                       use->annotations, use->n_annotations);
    return image;
}

Runtime__V1__Container *raise_container(Arena *arena, const Podmon__PodRecord *pod,
                                        const Podmon__ContainerRecord *container)
{
    const Podmon__ContainerSpec *spec = container->spec;
    Runtime__V1__Container *item = arena_alloc(arena, sizeof(*item));

    runtime__v1__container__init(item);
    item->id = spec->id;
    item->pod_sandbox_id = pod->spec->id;
    item->metadata = raise_container_name(arena, spec);
    item->image = raise_image_use(arena, spec->image);
    item->image_ref = spec->image->image_ref;
    item->image_id = spec->image->image_id;
    item->state = raise_container_state(container);
    item->created_at = container->created_at;
    item->n_labels = spec->n_labels;
    item->labels = map_from_pairs(arena, &runtime__v1__container__labels_entry__descriptor,
                                  spec->labels, spec->n_labels);
    item->n_annotations = spec->n_annotations;
    item->annotations =
        map_from_pairs(arena, &runtime__v1__container__annotations_entry__descriptor,
                       spec->annotations, spec->n_annotations);
    return item;
}

static Runtime__V1__Mount *raise_mount(Arena *arena, const Podmon__Mount *from)
{
    Runtime__V1__Mount *mount = arena_alloc(arena, sizeof(*mount));

    runtime__v1__mount__init(mount);
    mount->container_path = from->destination;
    mount->host_path = from->source;
    mount->readonly = from->read_only;
    mount->recursive_read_only = from->recursive_read_only;
    mount->selinux_relabel = from->selinux_relabel;
    mount->image_sub_path = from->sub_path;
    if (from->image) {
        mount->image = raise_image_use(arena, from->image);
        mount->image->image_ref = from->image->image_ref;
    }
    switch ((int)from->propagation) {
    case PODMON__MOUNT_PROPAGATION__PROPAGATION_HOST_TO_CONTAINER:
        mount->propagation = RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_HOST_TO_CONTAINER;
        break;
    case PODMON__MOUNT_PROPAGATION__PROPAGATION_BIDIRECTIONAL:
        mount->propagation = RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_BIDIRECTIONAL;
        break;
    default:
        break;
    }
    return mount;
}

static void raise_mounts(Arena *arena, const Podmon__ContainerSpec *spec,
                         Runtime__V1__ContainerStatus *status)
{
    status->mounts = arena_alloc_array(arena, spec->n_mounts, sizeof(Runtime__V1__Mount *));
    for (size_t i = 0; i < spec->n_mounts; i++)
        if (spec->mounts[i]->requested)
            status->mounts[status->n_mounts++] = raise_mount(arena, spec->mounts[i]);
}

static Runtime__V1__ContainerResources *raise_resources(Arena *arena, const Podmon__Resources *from)
{
    Runtime__V1__ContainerResources *resources = arena_alloc(arena, sizeof(*resources));
    Runtime__V1__LinuxContainerResources *limits = arena_alloc(arena, sizeof(*limits));

    runtime__v1__container_resources__init(resources);
    runtime__v1__linux_container_resources__init(limits);
    resources->linux = limits;
    limits->cpu_period = from->cpu_period;
    limits->cpu_quota = from->cpu_quota;
    limits->cpu_shares = from->cpu_shares;
    limits->memory_limit_in_bytes = from->memory_limit;
    limits->memory_swap_limit_in_bytes = from->memory_swap_limit;
    limits->oom_score_adj = from->oom_score_adj;
    limits->cpuset_cpus = from->cpuset_cpus;
    limits->cpuset_mems = from->cpuset_mems;
    limits->n_unified = from->n_unified;
    limits->unified =
        map_from_pairs(arena, &runtime__v1__linux_container_resources__unified_entry__descriptor,
                       from->unified, from->n_unified);
    limits->n_hugepage_limits = from->n_hugepage_limits;
    limits->hugepage_limits =
        arena_alloc_array(arena, from->n_hugepage_limits, sizeof(Runtime__V1__HugepageLimit *));
    for (size_t i = 0; i < from->n_hugepage_limits; i++) {
        Runtime__V1__HugepageLimit *limit = arena_alloc(arena, sizeof(*limit));

        runtime__v1__hugepage_limit__init(limit);
        limit->page_size = from->hugepage_limits[i]->key;
        /* Written by lower_resources: a number, or the record has been tampered with. */
        (void)number_parse_unsigned(from->hugepage_limits[i]->value, UINT64_MAX, &limit->limit);
        limits->hugepage_limits[i] = limit;
    }
    return resources;
}

/* Who the process is, known since it has been started. */
static Runtime__V1__ContainerUser *raise_user(Arena *arena, const Podmon__ContainerRecord *from)
{
    Runtime__V1__ContainerUser *user = arena_alloc(arena, sizeof(*user));
    Runtime__V1__LinuxContainerUser *ids = arena_alloc(arena, sizeof(*ids));

    runtime__v1__container_user__init(user);
    runtime__v1__linux_container_user__init(ids);
    user->linux = ids;
    ids->uid = from->uid;
    ids->gid = from->gid;
    ids->n_supplemental_groups = from->n_groups;
    ids->supplemental_groups = arena_alloc_array(arena, from->n_groups, sizeof(int64_t));
    for (size_t i = 0; i < from->n_groups; i++)
        ids->supplemental_groups[i] = from->groups[i];
    return user;
}

static Runtime__V1__Signal raise_stop_signal(const Podmon__ContainerSpec *spec)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value_by_name(
        &runtime__v1__signal__descriptor, spec->stop_signal_name);

    return value ? (Runtime__V1__Signal)value->value : signal_names_to_api(spec->stop_signal);
}

Runtime__V1__ContainerStatus *raise_container_status(Arena *arena,
                                                     const Podmon__ContainerRecord *container)
{
    const Podmon__ContainerSpec *spec = container->spec;
    Runtime__V1__ContainerStatus *status = arena_alloc(arena, sizeof(*status));

    runtime__v1__container_status__init(status);
    status->id = spec->id;
    status->metadata = raise_container_name(arena, spec);
    status->state = raise_container_state(container);
    status->created_at = container->created_at;
    status->started_at = container->started_at;
    status->finished_at = container->finished_at;
    status->exit_code = container->exit_code;
    status->image = raise_image_use(arena, spec->image);
    status->image_ref = spec->image->image_ref;
    status->image_id = spec->image->image_id;
    status->reason = container->reason;
    status->message = container->message;
    status->n_labels = spec->n_labels;
    status->labels = map_from_pairs(arena, &runtime__v1__container_status__labels_entry__descriptor,
                                    spec->labels, spec->n_labels);
    status->n_annotations = spec->n_annotations;
    status->annotations =
        map_from_pairs(arena, &runtime__v1__container_status__annotations_entry__descriptor,
                       spec->annotations, spec->n_annotations);
    raise_mounts(arena, spec, status);
    status->log_path = container->log_path;
    if (spec->resources)
        status->resources = raise_resources(arena, spec->resources);
    if (container->started_at > 0)
        status->user = raise_user(arena, container);
    status->stop_signal = raise_stop_signal(spec);
    return status;
}

/* The image's "user[:group]": a number, or a name that is looked up in the image. Neither is
 * root. */
static void raise_image_user(Arena *arena, const char *user, Runtime__V1__Image *image)
{
    char *name = arena_copy(arena, user);
    int64_t number;

    name[strcspn(name, ":")] = '\0';
    if (number_parse_signed(name, 0, INT64_MAX, &number) < 0) {
        image->username = name;
        return;
    }
    image->uid = arena_alloc(arena, sizeof(*image->uid));
    runtime__v1__int64_value__init(image->uid);
    image->uid->value = number;
}

Runtime__V1__Image *raise_image(Arena *arena, const Podmon__ImageRecord *image, bool pinned)
{
    Runtime__V1__Image *item = arena_alloc(arena, sizeof(*item));
    Runtime__V1__ImageSpec *spec = arena_alloc(arena, sizeof(*spec));

    runtime__v1__image__init(item);
    runtime__v1__image_spec__init(spec);
    item->id = image->id;
    item->n_repo_tags = image->n_tags;
    item->repo_tags = image->tags;
    item->n_repo_digests = image->n_digests;
    item->repo_digests = image->digests;
    item->size = image->size > 0 ? image->size : 1;
    raise_image_user(arena, image->user, item);
    spec->image = image->id;
    spec->n_annotations = image->n_annotations;
    spec->annotations =
        map_from_pairs(arena, &runtime__v1__image_spec__annotations_entry__descriptor,
                       image->annotations, image->n_annotations);
    item->spec = spec;
    item->pinned = pinned;
    return item;
}
