/* SPDX-License-Identifier: Apache-2.0 */
/* The pod out of its record and what is found of it: for a new pod, after the death of a podmon,
 * and after a reboot alike. */
#pragma once

#include "podmon/pod.h"
#include "shared/layout.h"

/* What a record means for whoever takes the pod over. */
typedef enum RestorePlan {
    RESTORE_SET_UP,       /* new: nothing has been done */
    RESTORE_SET_UP_AGAIN, /* clear away first */
    RESTORE_ADOPT,        /* go on as it is */
    RESTORE_STOP,         /* processes are gone or have to go, then the network */
    RESTORE_NOTHING,      /* stopped, and stays so */
    RESTORE_REMOVE,
} RestorePlan;

/* Pure. `same_boot`: the record is of this boot of the machine. */
RestorePlan restore_plan(const Podmon__PodRecord *record, bool same_boot);

/* Processes that the dispatcher has kept hold of: of those that have ended by now the descriptors
 * still know how. Taken ones become −1. */
typedef struct PodKept {
    pid_t pids[LAYOUT_KEPT_MAX];
    int pidfds[LAYOUT_KEPT_MAX];
    size_t count;
} PodKept;

/* Loads the record (the state file, else its copy) into the pod, and begins or goes on with
 * whatever is next. The pod's server must be there. */
int restore_pod(Pod *pod, PodKept *kept, Failure *why);
