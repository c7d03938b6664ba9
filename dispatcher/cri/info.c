/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cri/info.h"

#include <cjson/cJSON.h>

#include "dispatcher/config.h"
#include "dispatcher/cri/info_plan.h"
#include "shared/clock.h"

static Podmon__Pair *make_pair(Arena *arena, const char *key, cJSON *json)
{
    Podmon__Pair *pair = arena_alloc(arena, sizeof(*pair));
    char *text = cJSON_PrintUnformatted(json);

    podmon__pair__init(pair);
    pair->key = (char *)(uintptr_t)key;
    pair->value = arena_copy(arena, text ? text : "{}");
    cJSON_free(text);
    cJSON_Delete(json);
    return pair;
}

static Podmon__Pair **make_single(Arena *arena, cJSON *json, size_t *ret_count)
{
    Podmon__Pair **pairs = arena_alloc_array(arena, 1, sizeof(Podmon__Pair *));

    pairs[0] = make_pair(arena, "info", json);
    *ret_count = 1;
    return pairs;
}

static void add_texts(cJSON *object, const char *member, char **texts, size_t count)
{
    cJSON *array = cJSON_AddArrayToObject(object, member);

    for (size_t i = 0; i < count; i++)
        (void)cJSON_AddItemToArray(array, cJSON_CreateString(texts[i]));
}

static const char *phase_name(const ProtobufCEnumDescriptor *phases, int phase)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(phases, phase);

    return value ? value->name : "unknown";
}

Podmon__Pair **info_of_pod(Arena *arena, const Podmon__PodRecord *pod, uint64_t silence,
                           size_t *ret_count)
{
    const Podmon__CgroupPlan *cgroup = pod->spec->cgroup;
    cJSON *json = cJSON_CreateObject();

    (void)cJSON_AddNumberToObject(json, "pid", pod->podmon ? pod->podmon->pid : 0);
    (void)cJSON_AddStringToObject(json, "phase",
                                  phase_name(&podmon__pod_phase__descriptor, (int)pod->phase));
    (void)cJSON_AddStringToObject(json, "networkNamespace", pod->network_namespace);
    add_texts(json, "addresses", pod->ips, pod->n_ips);
    (void)cJSON_AddStringToObject(json, "cgroup", pod->cgroup);
    (void)cJSON_AddStringToObject(json, "unit", cgroup ? cgroup->unit : "");
    (void)cJSON_AddStringToObject(json, "hostname", pod->spec->hostname);
    (void)cJSON_AddStringToObject(json, "failure", pod->failure);
    (void)cJSON_AddStringToObject(json, "podmonVersion", pod->podmon_version);
    (void)cJSON_AddNumberToObject(json, "podmonStarts", pod->podmon_starts);
    (void)cJSON_AddStringToObject(json, "podmonCrash", pod->podmon_crash);
    (void)cJSON_AddNumberToObject(json, "podmonSilentSeconds",
                                  (double)silence / (double)CLOCK_SECOND);
    (void)cJSON_AddItemToObject(json, "plan", info_plan(&pod->spec->base));
    return make_single(arena, json, ret_count);
}

/* The environment is left out: it is where people keep secrets. */
Podmon__Pair **info_of_container(Arena *arena, const Podmon__PodRecord *pod,
                                 const Podmon__ContainerRecord *container, size_t *ret_count)
{
    const Podmon__ContainerSpec *spec = container->spec;
    cJSON *json = cJSON_CreateObject();

    (void)cJSON_AddStringToObject(json, "sandboxID", pod->spec->id);
    (void)cJSON_AddNumberToObject(json, "pid", container->process ? container->process->pid : 0);
    (void)cJSON_AddStringToObject(
        json, "phase", phase_name(&podmon__container_phase__descriptor, (int)container->phase));
    (void)cJSON_AddStringToObject(json, "cgroup", container->cgroup);
    add_texts(json, "argv", spec->argv, spec->n_argv);
    (void)cJSON_AddStringToObject(json, "workingDirectory", spec->cwd);
    add_texts(json, "layers", spec->layers, spec->n_layers);
    (void)cJSON_AddBoolToObject(json, "privileged", spec->security && spec->security->privileged);
    (void)cJSON_AddItemToObject(json, "plan", info_plan(&spec->base));
    return make_single(arena, json, ret_count);
}

Podmon__Pair **info_of_image(Arena *arena, const Podmon__ImageRecord *image, size_t *ret_count)
{
    cJSON *json = cJSON_CreateObject();
    cJSON *labels;

    (void)cJSON_AddStringToObject(json, "manifest", image->manifest);
    add_texts(json, "chainIDs", image->layers, image->n_layers);
    add_texts(json, "env", image->env, image->n_env);
    add_texts(json, "entrypoint", image->entrypoint, image->n_entrypoint);
    add_texts(json, "command", image->command, image->n_command);
    (void)cJSON_AddStringToObject(json, "workingDirectory", image->working_dir);
    (void)cJSON_AddStringToObject(json, "user", image->user);
    (void)cJSON_AddStringToObject(json, "stopSignal", image->stop_signal);
    add_texts(json, "volumes", image->volumes, image->n_volumes);
    labels = cJSON_AddObjectToObject(json, "labels");
    for (size_t i = 0; i < image->n_labels; i++)
        (void)cJSON_AddStringToObject(labels, image->labels[i]->key, image->labels[i]->value);
    return make_single(arena, json, ret_count);
}

Podmon__Pair **info_of_node(Arena *arena, const Node *node, const char *network, size_t *ret_count)
{
    const Config *config = node->config;
    Podmon__Pair **pairs = arena_alloc_array(arena, 3, sizeof(Podmon__Pair *));
    cJSON *settings = cJSON_CreateObject(), *cni = cJSON_CreateObject();
    cJSON *cgroup = cJSON_CreateObject();

    (void)cJSON_AddStringToObject(settings, "runDirectory", config->run_dir);
    (void)cJSON_AddStringToObject(settings, "rootDirectory", config->root_dir);
    (void)cJSON_AddStringToObject(settings, "podmon", config->podmon);
    (void)cJSON_AddStringToObject(cni, "directory", config->cni_conf_dir);
    (void)cJSON_AddStringToObject(cni, "configuration", network);
    (void)cJSON_AddStringToObject(cgroup, "driver", node->systemd ? "systemd" : "cgroupfs");
    (void)cJSON_AddStringToObject(cgroup, "slice", config->slice);
    (void)cJSON_AddStringToObject(cgroup, "explanation",
                                  node->systemd
                                      ? "each pod is a transient scope of systemd"
                                      : "systemd does not run here, or the configuration does not "
                                        "want its scopes: pods have cgroups of our own");
    pairs[0] = make_pair(arena, "config", settings);
    pairs[1] = make_pair(arena, "cni", cni);
    pairs[2] = make_pair(arena, "cgroup", cgroup);
    *ret_count = 3;
    return pairs;
}
