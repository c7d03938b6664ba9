/* SPDX-License-Identifier: Apache-2.0 */
/* The podmons that run on this machine, by what they were started with. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "shared/id.h"

typedef struct PodmonProcess {
    pid_t pid;
    uint64_t start_time;
    char id[ID_SIZE]; /* of its pod */
    bool ours;        /* it works in the run directory asked for */
} PodmonProcess;

/* Calls `function` for each until it returns nonzero, which is then returned; −errno. A keeper of a
 * terminal is one of them. */
int podmons_each(const char *run_dir, int (*function)(void *data, const PodmonProcess *process),
                 void *data);
