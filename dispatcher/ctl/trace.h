/* SPDX-License-Identifier: Apache-2.0 */
/* What bears the id of a pod: found without any record, compared with the records afterwards. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dispatcher/ctl/owners.h"
#include "shared/failure.h"
#include "shared/id.h"

/* In the order in which they are to go. */
typedef enum TraceKind {
    TRACE_POD,       /* the pod itself, in want of a podmon */
    TRACE_PROCESS,   /* a podmon, or a keeper of a terminal */
    TRACE_UNIT,      /* a scope of systemd's */
    TRACE_GROUP,     /* a cgroup, in any hierarchy */
    TRACE_MOUNT,     /* below the run or the root directory; also a pinned namespace */
    TRACE_DIRECTORY, /* in the run or the root directory */
    TRACE_LEASE,     /* of host-local, the CNI plugin that gives out addresses */
} TraceKind;

typedef struct Trace {
    TraceKind kind;
    char id[ID_SIZE];    /* of its pod, or the beginning of it */
    char *what;          /* a path, a unit's name, a process's number */
    uint64_t start_time; /* of a process */
    OwnerState owner;    /* of the pod, when it was last looked at */
} Trace;

typedef struct Traces {
    Trace *items;
    size_t count;
} Traces;

typedef struct TraceDirectories {
    const char *run, *root;
    char *const *parents; /* of pods' cgroups; NULL-terminated, or NULL */
} TraceDirectories;

/* Everything there is, also what belongs to pods that are well. */
int traces_find(const TraceDirectories *directories, Traces *ret, Failure *why);
void traces_done(Traces *traces);
int traces_add(Traces *traces, TraceKind kind, const char *id, const char *what);

/* Pure: has it been left behind, the pod being in this state? */
bool trace_is_litter(TraceKind kind, OwnerState owner);

/* Pure: the digits between the last '-' of a cgroup's or a scope's name and its end. False: no pod
 * has such a name. */
bool trace_parse_name(const char *name, char ret[ID_SHORT + 1]);

/* "cgroup", "lease": for people. */
const char *trace_kind_name(TraceKind kind);
