/* SPDX-License-Identifier: Apache-2.0 */
/* What may happen to a pod and to a container, and what follows: state × event, as tables. Pure.
 * A request never meets an impossible place; an event of our own that does is a bug, and is
 * logged. */
#pragma once

#include "podmon.pb-c.h"

typedef enum ContainerState {
    CONTAINER_STATE_CREATED,  /* no process; the root may be mounted, detached */
    CONTAINER_STATE_STARTING, /* cloned, on its way to execve */
    CONTAINER_STATE_RUNNING,
    CONTAINER_STATE_ENDING, /* first process gone: output is drained, the cgroup emptied */
    CONTAINER_STATE_EXITED, /* no process, no cgroup, no open descriptor */
    CONTAINER_STATES,
} ContainerState;

typedef enum ContainerEvent {
    CONTAINER_EVENT_START, /* requests */
    CONTAINER_EVENT_STOP,
    CONTAINER_EVENT_REMOVE,
    CONTAINER_EVENT_EXEC,
    CONTAINER_EVENT_REOPEN_LOG,
    CONTAINER_EVENT_UPDATE,
    CONTAINER_EVENT_STARTED, /* what the kernel tells */
    CONTAINER_EVENT_ENDED,
    CONTAINER_EVENT_SETTLED,
    CONTAINER_EVENTS,
} ContainerEvent;

typedef enum PodState {
    POD_STATE_STARTING,
    POD_STATE_READY,
    POD_STATE_STOPPING, /* containers end, then the network goes; may be tried again */
    POD_STATE_STOPPED,
    POD_STATE_REMOVING,
    POD_STATE_FAILED, /* did not start, and nothing of it is left but the answer */
    POD_STATES,
} PodState;

typedef enum PodEvent {
    POD_EVENT_RUN, /* requests */
    POD_EVENT_STOP,
    POD_EVENT_REMOVE,
    POD_EVENT_CREATE, /* of a container */
    POD_EVENT_USE,    /* anything that makes a container do more */
    POD_EVENT_END,    /* stopping or removing a container */
    POD_EVENT_STARTED,
    POD_EVENT_START_FAILED,
    POD_EVENT_STOPPED,
    POD_EVENTS,
} PodEvent;

typedef enum LifecycleVerdict {
    LIFECYCLE_DO,     /* act; the state becomes `next` */
    LIFECYCLE_JOIN,   /* under way already: wait with the others */
    LIFECYCLE_DONE,   /* nothing to do: success */
    LIFECYCLE_REFUSE, /* FAILED_PRECONDITION */
} LifecycleVerdict;

typedef struct LifecycleStep {
    LifecycleVerdict verdict;
    int next; /* a ContainerState or PodState; with every verdict but LIFECYCLE_DO the same state */
} LifecycleStep;

/* NULL: impossible. */
const LifecycleStep *lifecycle_container(ContainerState state, ContainerEvent event);
const LifecycleStep *lifecycle_pod(PodState state, PodEvent event);

/* "created", "stopping": for sentences. */
const char *lifecycle_container_name(ContainerState state);
const char *lifecycle_pod_name(PodState state);

/* The phase that is published in a state. POD_STATE_FAILED is never published. */
Podmon__ContainerPhase lifecycle_container_phase(ContainerState state);
Podmon__PodPhase lifecycle_pod_phase(PodState state);
