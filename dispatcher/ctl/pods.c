/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/ctl/pods.h"

#include <errno.h>
#include <stdio.h>

#include "dispatcher/ctl/format.h"
#include "dispatcher/pods/index.h"
#include "shared/cleanup.h"
#include "shared/id.h"
#include "shared/text.h"

static void index_cleanup(PodIndex **index)
{
    pod_index_free(*index);
}

static int open_index(const Command *command, PodIndex **ret, Failure *why)
{
    int r = pod_index_new(command->run_dir, command->root_dir, ret, why);

    if (r == 0)
        pod_index_sync(*ret);
    return r;
}

static int add_layers(char ***list, size_t count, char *const *layers)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++)
        r = text_list_add(list, layers[i]);
    return r;
}

int pods_layers_in_use(const Command *command, char ***ret, Failure *why)
{
    CLEANUP(index_cleanup) PodIndex *index = NULL;
    CLEANUP(text_list_cleanup) char **list = NULL;
    int r = open_index(command, &index, why);

    if (r < 0)
        return r;
    for (size_t i = 0; i < pod_index_count(index); i++) {
        const Podmon__PodRecord *pod = pod_index_get(index, i)->record;

        for (size_t j = 0; r == 0 && j < pod->n_containers; j++) {
            const Podmon__ContainerSpec *spec = pod->containers[j]->spec;

            r = spec ? add_layers(&list, spec->n_layers, spec->layers) : 0;
            for (size_t k = 0; spec && r == 0 && k < spec->n_mounts; k++)
                r = add_layers(&list, spec->mounts[k]->n_layers, spec->mounts[k]->layers);
        }
    }
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot list the layers in use");
    *ret = TAKE(list);
    return 0;
}

static const char *pod_phase(Podmon__PodPhase phase)
{
    switch (phase) {
    case PODMON__POD_PHASE__POD_STARTING:
        return "starting";
    case PODMON__POD_PHASE__POD_READY:
        return "ready";
    case PODMON__POD_PHASE__POD_STOPPING:
        return "stopping";
    case PODMON__POD_PHASE__POD_STOPPED:
        return "stopped";
    case PODMON__POD_PHASE__POD_REMOVING:
    case _PODMON__POD_PHASE_IS_INT_SIZE:
        break;
    }
    return "removing";
}

static const char *container_phase(const Podmon__ContainerRecord *container, char *text,
                                   size_t size)
{
    switch (container->phase) {
    case PODMON__CONTAINER_PHASE__CONTAINER_CREATED:
        return "created";
    case PODMON__CONTAINER_PHASE__CONTAINER_RUNNING:
        return "running";
    case PODMON__CONTAINER_PHASE__CONTAINER_EXITED:
        (void)snprintf(text, size, "exited %d", container->exit_code);
        return text;
    case PODMON__CONTAINER_PHASE__CONTAINER_UNKNOWN:
    case _PODMON__CONTAINER_PHASE_IS_INT_SIZE:
        break;
    }
    return "unknown";
}

static int add_pod(Table *table, const Podmon__PodRecord *pod)
{
    char id[ID_SHORT + 1], name[512], age[FORMAT_SIZE], phase[32];
    int r;

    (void)snprintf(id, sizeof(id), "%s", pod->spec->id);
    (void)snprintf(name, sizeof(name), "%s/%s", pod->spec->name ? pod->spec->name->namespace_ : "",
                   pod->spec->name ? pod->spec->name->name : "");
    format_age(pod->created_at, age);
    r = table_add(table, (const char *[]){id, name, pod_phase(pod->phase), age,
                                          pod->n_ips ? pod->ips[0] : "-"});
    for (size_t i = 0; r == 0 && i < pod->n_containers; i++) {
        const Podmon__ContainerRecord *container = pod->containers[i];

        if (!container->spec)
            continue;
        (void)snprintf(id, sizeof(id), "%s", container->spec->id);
        (void)snprintf(name, sizeof(name), "  %s", container->spec->name);
        format_age(container->created_at, age);
        r = table_add(
            table, (const char *[]){id, name, container_phase(container, phase, sizeof(phase)), age,
                                    container->spec->image ? container->spec->image->name : "-"});
    }
    return r;
}

int command_ps(const Command *command, Failure *why)
{
    CLEANUP(index_cleanup) PodIndex *index = NULL;
    CLEANUP(table_done) Table table = {.columns = 5};
    int r = open_index(command, &index, why);

    if (r < 0)
        return r;
    r = table_add(&table, (const char *[]){"ID", "NAME", "STATE", "AGE", "ADDRESS OR IMAGE"});
    for (size_t i = 0; r == 0 && i < pod_index_count(index); i++)
        if (pod_index_get(index, i)->record->spec)
            r = add_pod(&table, pod_index_get(index, i)->record);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot list pods");
    table_print(&table);
    return 0;
}
