/* SPDX-License-Identifier: Apache-2.0 */
/* Takes from the calling process, a single-threaded child that works on hostile data, all but one
 * directory: own mount, network and IPC namespaces with that directory as root (no set-id, no
 * devices, no execution on it), six capabilities, no new privileges, a system call filter, limits
 * on memory and files, no descriptor but those it names. */
#pragma once

#include "shared/failure.h"

typedef struct ConfinePlan {
    int root_fd;     /* the directory that is to be all there is */
    int keep_fds[2]; /* these stay open, as 3 and 4 from the first step on */
} ConfinePlan;

/* Returns the new root directory's descriptor, or −errno; the process is good for nothing but
 * _exit then. */
int confine_self(const ConfinePlan *plan, Failure *why);
