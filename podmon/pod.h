/* SPDX-License-Identifier: Apache-2.0 */
/* The pod: the one object of a podmon. Its fields are read by the rooms that make up its life
 * (setup, teardown, container, exec, restore); whoever changes the record publishes it. */
#pragma once

#include <stdbool.h>

#include "podmon/cgroup.h"
#include "podmon/ledger.h"
#include "podmon/lifecycle.h"
#include "podmon/sandbox.h"
#include "podmon/server.h"
#include "podmon/worker.h"
#include "shared/event.h"
#include "shared/id.h"

enum { POD_CONTAINERS_MAX = 1000 };

struct Container; /* podmon/container.h */
struct Streams;   /* podmon/stream/streams.h */
struct Sampler;   /* podmon/sample.h */

typedef struct Pod {
    EventLoop *loop;
    Server *server;
    PodState state;
    Podmon__PodRecord *record;   /* as it is published, or about to be */
    const Podmon__PodSpec *spec; /* the record's */
    Sandbox sandbox;
    CgroupLayout layout;

    char id[ID_SIZE];
    char *run_path;  /* RUN/pods/<id>, absolute, like the next */
    char *root_path; /* ROOT/pods/<id> */
    int run_pods_fd; /* RUN/pods */
    int root_pods_fd;
    int run_fd; /* of run_path */
    int root_fd;

    Ledger *ledger;
    bool again; /* this very process was podmon before, and has executed itself */

    struct Container *containers; /* list */
    struct Streams *streams;      /* NULL until the first */
    Podmon__Handover *handover;   /* of the program this process was before; NULL: taken up */
    unsigned exec_count;          /* ever started: names their cgroups */
    unsigned exec_running;

    bool set_up_again; /* an earlier podmon died half-way: what it may have left comes first */
    bool sandbox_made;
    bool network_added; /* or may have been: DEL is due */
    unsigned tries;     /* of removing cgroups */

    struct Sampler *sampler; /* while READY */

    Worker *scope_worker;
    Worker *network_worker;
    EventSource *init_source;   /* while READY (podmon/initwatch.h) */
    EventSource *timer;         /* of what the pod is waiting for in its present state */
    EventSource *publish_timer; /* a publication has to be tried again */
    EventSource *copy_timer;    /* the record's copy on disk is older than the record */
    Failure failure;            /* of what is being done; code FAILURE_NONE: none yet */
    bool stop_gracefully;       /* SIGTERM: when the containers have ended, stop */
    bool failure_told;          /* in POD_STATE_FAILED: somebody has got the answer */
    Call *run_calls;
    Call *stop_calls;
    Call *remove_calls;
} Pod;

/* Takes the directories over, not yet the record (podmon/restore.h). `run`, `root`: absolute. */
int pod_new(EventLoop *loop, const char *id, const char *run, const char *root, Pod **ret,
            Failure *why);

/* Leaves everything on the machine as it is. */
Pod *pod_free(Pod *pod);

/* Writes the record as the present state wants it; its copy on disk follows within a second, or
 * before podmon ends. */
int pod_publish(Pod *pod, Failure *why);

/* The same where the change has happened and cannot be taken back: tried again until it works. */
void pod_publish_surely(Pod *pod);

/* The next state, if the event is possible; an impossible one is logged, and false. */
bool pod_advance(Pod *pod, PodEvent event);

/* Brings the copy on disk up to date, if it is not. */
void pod_copy(Pod *pod);

/* Ends the loop if there is nothing left to wait for. To be called when something has ended. */
void pod_maybe_exit(Pod *pod);

/* Reaps what came to podmon as subreaper. */
void pod_reap_orphans(Pod *pod);

/* Is the pod's cgroup that of a systemd unit? */
bool pod_uses_scope(const Pod *pod);

/* "<pod's cgroup>/<leaf>", malloc'ed; NULL without memory. */
char *pod_make_cgroup_path(const Pod *pod, const char *leaf);

/* The group below the pod's that `id` (a container's, or the pod's own) is known by outside,
 * malloc'ed; NULL without memory. */
char *pod_make_id_path(const Pod *pod, const char *id);
