/* SPDX-License-Identifier: Apache-2.0 */
/* The control group of an image worker: its own, with a bound on memory, page cache included.
 * Where systemd runs it is a scope that systemd removes when it is empty
 * ("podmon-image-….scope"); else the directory image-<pid> below the slice, in the hierarchy that
 * has the memory controller, v1 or v2. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "shared/failure.h"

typedef struct WorkerGroupPlan {
    const char *slice; /* "podmon.slice" or "/podmon" */
    bool systemd;
    uint64_t memory_max;
    const char *reference; /* for people */
} WorkerGroupPlan;

/* Takes the calling process, which has one thread, there. −errno with `why`: it is where it was. */
int worker_group_enter(const WorkerGroupPlan *plan, Failure *why);

/* Removes the directories of workers that have ended, as far as they are empty; how many are not.
 * With systemd: 0. */
int worker_group_sweep(const char *slice, bool systemd);
