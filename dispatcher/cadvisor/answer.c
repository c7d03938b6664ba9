/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cadvisor/answer.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>

#include "shared/cleanup.h"

/* By these cAdvisor and the kubelet know which figures are of a pod's network. */
static const char CONTAINER_LABEL[] = "io.kubernetes.container.name";
static const char POD_AS_CONTAINER[] = "POD";

static void json_cleanup(cJSON **json)
{
    cJSON_Delete(*json);
}

static char *print(const cJSON *json)
{
    return json ? cJSON_PrintUnformatted(json) : NULL;
}

char *answer_of_node(const char *image_root)
{
    CLEANUP(json_cleanup) cJSON *json = cJSON_CreateObject();

    if (!cJSON_AddStringToObject(json, "storage_driver", "podmon") ||
        !cJSON_AddStringToObject(json, "storage_root", image_root) ||
        !cJSON_AddStringToObject(json, "storage_image", image_root))
        return NULL;
    return print(json);
}

static cJSON *add_pairs(cJSON *json, const char *name, Podmon__Pair *const *pairs, size_t count)
{
    cJSON *object = cJSON_AddObjectToObject(json, name);

    for (size_t i = 0; object && i < count; i++)
        if (!cJSON_AddStringToObject(object, pairs[i]->key, pairs[i]->value))
            return NULL;
    return object;
}

static bool add_addresses(cJSON *json, const Podmon__PodRecord *pod)
{
    cJSON *list = cJSON_AddArrayToObject(json, "ip_addresses");

    for (size_t i = 0; list && i < pod->n_ips; i++)
        if (!cJSON_AddItemToArray(list, cJSON_CreateString(pod->ips[i])))
            return false;
    return list && cJSON_AddStringToObject(json, "ip_address", pod->n_ips > 0 ? pod->ips[0] : "");
}

/* As other runtimes have named containers since the first kubelets. */
static bool add_name(cJSON *json, const Podmon__PodRecord *pod, const char *container,
                     uint32_t attempt)
{
    const Podmon__PodName *name = pod->spec->name;
    AUTO_FREE char *text = NULL;

    if (asprintf(&text, "k8s_%s_%s_%s_%s_%u", container, name->name, name->namespace_, name->uid,
                 attempt) < 0) {
        text = NULL;
        return false;
    }
    return cJSON_AddStringToObject(json, "name", text);
}

static int running_pid(const Podmon__ContainerRecord *container)
{
    bool running = container->phase == PODMON__CONTAINER_PHASE__CONTAINER_RUNNING;

    return running && container->process ? container->process->pid : 0;
}

char *answer_of_container(const Podmon__PodRecord *pod, const Podmon__ContainerRecord *container)
{
    CLEANUP(json_cleanup) cJSON *json = cJSON_CreateObject();
    const Podmon__ContainerSpec *spec = container->spec;

    if (!add_name(json, pod, spec->name, spec->attempt) ||
        !cJSON_AddNumberToObject(json, "pid", running_pid(container)) ||
        !cJSON_AddStringToObject(json, "image", spec->image->name) ||
        !cJSON_AddNumberToObject(json, "created_time", (double)container->created_at) ||
        !add_pairs(json, "labels", spec->labels, spec->n_labels) ||
        !add_pairs(json, "annotations", spec->annotations, spec->n_annotations) ||
        !cJSON_AddStringToObject(json, "log_path", container->log_path) ||
        !cJSON_AddStringToObject(json, "root", "") || !add_addresses(json, pod))
        return NULL;
    return print(json);
}

static int network_pid(const Podmon__PodRecord *pod)
{
    if (!pod->spec->namespaces ||
        pod->spec->namespaces->network != PODMON__NAMESPACE_MODE__NAMESPACE_POD)
        return 0;
    for (size_t i = 0; i < pod->n_containers; i++)
        if (running_pid(pod->containers[i]) > 0)
            return running_pid(pod->containers[i]);
    return 0;
}

char *answer_of_pod(const Podmon__PodRecord *pod)
{
    CLEANUP(json_cleanup) cJSON *json = cJSON_CreateObject();
    const Podmon__PodSpec *spec = pod->spec;
    cJSON *labels;

    if (!add_name(json, pod, POD_AS_CONTAINER, spec->name->attempt) ||
        !cJSON_AddNumberToObject(json, "pid", network_pid(pod)) ||
        !cJSON_AddStringToObject(json, "image", "") ||
        !cJSON_AddNumberToObject(json, "created_time", (double)pod->created_at) ||
        !(labels = add_pairs(json, "labels", spec->labels, spec->n_labels)) ||
        !add_pairs(json, "annotations", spec->annotations, spec->n_annotations) ||
        !cJSON_AddStringToObject(json, "log_path", "") ||
        !cJSON_AddStringToObject(json, "root", "") || !add_addresses(json, pod))
        return NULL;
    cJSON_DeleteItemFromObjectCaseSensitive(labels, CONTAINER_LABEL);
    if (!cJSON_AddStringToObject(labels, CONTAINER_LABEL, POD_AS_CONTAINER))
        return NULL;
    return print(json);
}
