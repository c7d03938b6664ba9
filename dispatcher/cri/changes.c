/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cri/changes.h"

#include <string.h>

#define CREATED RUNTIME__V1__CONTAINER_EVENT_TYPE__CONTAINER_CREATED_EVENT
#define STARTED RUNTIME__V1__CONTAINER_EVENT_TYPE__CONTAINER_STARTED_EVENT
#define STOPPED RUNTIME__V1__CONTAINER_EVENT_TYPE__CONTAINER_STOPPED_EVENT
#define DELETED RUNTIME__V1__CONTAINER_EVENT_TYPE__CONTAINER_DELETED_EVENT

/* How far something has got; it only ever goes on. */
typedef enum Stage { STAGE_NONE, STAGE_CREATED, STAGE_STARTED, STAGE_STOPPED, STAGE_DELETED } Stage;

enum { CHANGES_PER_OBJECT = 4 };

typedef struct Changes {
    Change *items;
    size_t count;
} Changes;

static void add(Changes *changes, const char *id, Runtime__V1__ContainerEventType type, int64_t at)
{
    changes->items[changes->count++] = (Change){id, type, at};
}

static Stage container_stage(const Podmon__ContainerRecord *container)
{
    if (!container)
        return STAGE_NONE;
    switch ((int)container->phase) {
    case PODMON__CONTAINER_PHASE__CONTAINER_CREATED:
        return STAGE_CREATED;
    case PODMON__CONTAINER_PHASE__CONTAINER_RUNNING:
        return STAGE_STARTED;
    default:
        return STAGE_STOPPED;
    }
}

static const Podmon__ContainerRecord *find_container(const Podmon__PodRecord *pod, const char *id)
{
    for (size_t i = 0; pod && i < pod->n_containers; i++)
        if (strcmp(pod->containers[i]->spec->id, id) == 0)
            return pod->containers[i];
    return NULL;
}

/* A container that could not be started ends without having been started. */
static void add_container(Changes *changes, Stage from, const Podmon__ContainerRecord *container)
{
    const char *id = container->spec->id;
    Stage to = container_stage(container);

    if (from < STAGE_CREATED)
        add(changes, id, CREATED, container->created_at);
    if (from < STAGE_STARTED && to >= STAGE_STARTED && container->started_at > 0)
        add(changes, id, STARTED, container->started_at);
    if (from < STAGE_STOPPED && to == STAGE_STOPPED)
        add(changes, id, STOPPED, container->finished_at);
}

static void add_deleted(Changes *changes, const Podmon__ContainerRecord *container, int64_t now)
{
    if (container_stage(container) == STAGE_STARTED)
        add(changes, container->spec->id, STOPPED, now);
    add(changes, container->spec->id, DELETED, now);
}

static Stage pod_stage(const Podmon__PodRecord *pod)
{
    if (!pod)
        return STAGE_NONE;
    switch ((int)pod->phase) {
    case PODMON__POD_PHASE__POD_STARTING:
        return STAGE_CREATED;
    case PODMON__POD_PHASE__POD_READY:
        return STAGE_STARTED;
    default:
        return STAGE_STOPPED;
    }
}

Change *changes_between(Arena *arena, const Podmon__PodRecord *before,
                        const Podmon__PodRecord *after, int64_t now, size_t *ret_count)
{
    const Podmon__PodRecord *pod = after ? after : before;
    size_t objects = 1 + (before ? before->n_containers : 0) + (after ? after->n_containers : 0);
    Changes changes = {arena_alloc_array(arena, objects * CHANGES_PER_OBJECT, sizeof(Change)), 0};
    Stage from = pod_stage(before), to = after ? pod_stage(after) : STAGE_DELETED;

    if (from < STAGE_CREATED)
        add(&changes, pod->spec->id, CREATED, pod->created_at);
    if (from < STAGE_STARTED && to >= STAGE_STARTED && to != STAGE_DELETED)
        add(&changes, pod->spec->id, STARTED, now);
    for (size_t i = 0; after && i < after->n_containers; i++)
        add_container(&changes,
                      container_stage(find_container(before, after->containers[i]->spec->id)),
                      after->containers[i]);
    for (size_t i = 0; before && i < before->n_containers; i++)
        if (!find_container(after, before->containers[i]->spec->id))
            add_deleted(&changes, before->containers[i], now);
    if (from < STAGE_STOPPED && to >= STAGE_STOPPED)
        add(&changes, pod->spec->id, STOPPED, now);
    if (to == STAGE_DELETED)
        add(&changes, pod->spec->id, DELETED, now);
    *ret_count = changes.count;
    return changes.items;
}
