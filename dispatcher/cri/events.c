/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cri/events.h"

#include <errno.h>
#include <stdlib.h>

#include "dispatcher/cri/changes.h"
#include "dispatcher/cri/handlers.h"
#include "dispatcher/cri/raise.h"
#include "dispatcher/pods/index.h"
#include "shared/clock.h"
#include "shared/log.h"

/* Bytes that may wait for a client. Who is further behind is better off with a fresh list. */
enum { EVENTS_QUEUE_MAX = 16 * 1024 * 1024 };

/* Lives in its call's arena. */
typedef struct Subscriber {
    struct Subscriber *next;
    Events *events;
    CriCall *call;
} Subscriber;

struct Events {
    PodIndex *pods;
    EventSource *source; /* while there are subscribers */
    Subscriber *subscribers;
};

Events *events_free(Events *events)
{
    if (!events)
        return NULL;
    (void)event_free(events->source);
    free(events);
    return NULL;
}

/* The subscriber is gone when its call is answered. */
static void unsubscribe(Subscriber *subscriber, const Failure *why)
{
    Events *events = subscriber->events;
    Subscriber **link = &events->subscribers;

    while (*link != subscriber)
        link = &(*link)->next;
    *link = subscriber->next;
    cri_call_fail(subscriber->call, why);
    if (events->subscribers)
        return;
    events->source = event_free(events->source);
    pod_index_on_change(events->pods, NULL, NULL);
}

static void client_gone(void *data)
{
    Failure why;

    (void)failure_say(&why, FAILURE_CANCELLED, "the client has gone");
    unsubscribe(data, &why);
}

static void send_to_all(const Events *events, const ProtobufCMessage *event)
{
    Subscriber *next;

    for (Subscriber *subscriber = events->subscribers; subscriber; subscriber = next) {
        Failure why;

        next = subscriber->next;
        cri_call_send(subscriber->call, event);
        if (cri_call_queued(subscriber->call) <= EVENTS_QUEUE_MAX)
            continue;
        (void)failure_say(&why, FAILURE_RESOURCE_EXHAUSTED,
                          "events are not taken fast enough: %zu bytes wait; list and ask again",
                          cri_call_queued(subscriber->call));
        log_notice("a client of GetContainerEvents is dropped: %s", why.text);
        unsubscribe(subscriber, &why);
    }
}

/* The pod as it is after all of its changes, or as it was before it went. */
static void pod_changed(void *data, const Podmon__PodRecord *before, const Podmon__PodRecord *after)
{
    const Podmon__PodRecord *pod = after ? after : before;
    AUTO_ARENA Arena *arena = arena_new();
    Runtime__V1__ContainerEventResponse event = RUNTIME__V1__CONTAINER_EVENT_RESPONSE__INIT;
    size_t count;
    const Change *changes = changes_between(arena, before, after, clock_real(), &count);

    if (count == 0)
        return;
    event.pod_sandbox_status = raise_pod_status(arena, pod);
    event.n_containers_statuses = pod->n_containers;
    event.containers_statuses =
        arena_alloc_array(arena, pod->n_containers, sizeof(Runtime__V1__ContainerStatus *));
    for (size_t i = 0; i < pod->n_containers; i++)
        event.containers_statuses[i] = raise_container_status(arena, pod->containers[i]);
    for (size_t i = 0; i < count; i++) {
        event.container_id = (char *)(uintptr_t)changes[i].id;
        event.container_event_type = changes[i].type;
        event.created_at = changes[i].at;
        send_to_all(data, &event.base);
    }
}

static void index_ready(void *data, uint32_t events)
{
    Events *all = data;

    (void)events;
    pod_index_sync(all->pods);
}

static int subscribe(Node *node, CriCall *call)
{
    Subscriber *subscriber = arena_alloc(cri_call_arena(call), sizeof(*subscriber));
    Events *events = node->events;
    int r;

    if (!events)
        events = node->events = calloc(1, sizeof(*events));
    if (!events)
        return -ENOMEM;
    events->pods = node->pods;
    if (!events->subscribers) {
        /* What happened until now is in the lists; events are of what happens from now on. */
        pod_index_sync(node->pods);
        r = event_add_fd(node->loop, pod_index_fd(node->pods), EPOLLIN, index_ready, events,
                         &events->source);
        if (r < 0)
            return r;
        pod_index_on_change(node->pods, pod_changed, events);
    }
    *subscriber = (Subscriber){events->subscribers, events, call};
    events->subscribers = subscriber;
    cri_call_on_gone(call, client_gone, subscriber);
    return 0;
}

void cri_get_container_events(CriCall *call)
{
    Failure why;
    int r = subscribe(cri_call_node(call), call);

    if (r < 0) {
        (void)failure_set(&why, FAILURE_INTERNAL, -r, "cannot watch the pods");
        cri_call_fail(call, &why);
    }
}
