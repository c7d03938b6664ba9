/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that the process of one stream is told at its birth. */
#pragma once

#include <stdbool.h>

#include "podmon.pb-c.h"

typedef struct StreamPlan {
    const Podmon__PrepareStream *request;
    int client_fd;     /* the connection */
    int control_fd;    /* to podmon; see podmon/stream/control.h */
    int netns_fd;      /* where ports are; −1: here */
    const void *bytes; /* what the client has said so far: the head, and maybe more */
    size_t size;
    const char *pod_name, *pod_uid; /* for sentences */
    unsigned drain_ms;              /* for output, once a process has ended */
    bool stdin_once;
} StreamPlan;
