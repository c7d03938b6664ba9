/* SPDX-License-Identifier: Apache-2.0 */
/* A container of the pod, from CreateContainer to RemoveContainer. */
#pragma once

#include "podmon/identity.h"
#include "podmon/pod.h"
#include "podmon/process.h"
#include "podmon/spawn.h"
#include "podmon/stdio.h"

typedef struct Container {
    Pod *pod;
    struct Container *next;
    Podmon__ContainerRecord *record; /* owned by the pod's record */
    ContainerState state;

    Identity *identity; /* NULL after a restart, until it is needed */
    int dir_fd;         /* RUN/pods/<pod>/<id> */
    int root_fd;        /* the detached root, in CREATED; −1: to be mounted again */

    SpawnedProcess process; /* from STARTING to the end of ENDING */
    EventSource *watch;     /* outcome_fd while STARTING, then the pidfd */
    EventSource *timer;     /* deadline of the start; retries while ENDING */
    unsigned tries;
    Stdio *stdio;
    int stdin_fd;    /* the writing end, with spec->stdin */
    Failure failure; /* of the start */
    ProcessEnd end;
    bool oom_killed;

    bool stop_requested;
    uint64_t stop_deadline; /* clock_monotonic */
    EventSource *stop_timer;
    bool killed; /* by us */
    Call *start_calls;
    Call *stop_calls;
    Call *remove_calls;
} Container;

Container *container_find(const Pod *pod, const char *id);

/* By name and attempt: what a repeated CreateContainer means. */
Container *container_find_name(const Pod *pod, const char *name, uint32_t attempt);

/* Makes its directories, mounts its root, looks its user up, publishes it. INVALID_ARGUMENT,
 * RESOURCE_EXHAUSTED, …; on failure nothing is left. */
int container_create(Pod *pod, const Podmon__ContainerSpec *spec, Container **ret, Failure *why);

/* The object of a container that the record knows already (podmon/restore.h). −ENOMEM. */
int container_adopt(Pod *pod, Podmon__ContainerRecord *record, Container **ret);

/* Leaves everything on the machine as it is. */
Container *container_free(Container *container);

/* Ends it: the stop signal, after `grace_ms` the whole cgroup killed; of several calls the earliest
 * deadline counts. `call` (may be NULL) is answered when the end has been published. */
void container_stop(Container *container, int64_t grace_ms, Call *call);

/* Removes it and all it has on the machine, killing it first if it runs. */
void container_remove(Container *container, Call *call);

/* Deletes an exited (or never started) one and answers its remove_calls; on failure it stays. */
void container_delete(Container *container);

/* New limits, in the kernel if there is a cgroup, and in the record. */
int container_update(Container *container, const Podmon__Resources *resources, Failure *why);

/* Whom its processes are: read from its root (its process's root, once it runs). */
int container_load_identity(Container *container, Failure *why);

/* The detached root is there, mounted if it was not. */
int container_load_root(Container *container, Failure *why);

/* The next state, if the event is possible; an impossible one is logged, and false. */
bool container_advance(Container *container, ContainerEvent event);

/* Kills every process of it. */
void container_kill(Container *container);

/* What container_stop asked for while it could not be done yet: to be called in RUNNING. */
void container_stop_now(Container *container);
