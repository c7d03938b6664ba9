/* SPDX-License-Identifier: Apache-2.0 */
/* What every CRI handler works with. Made by main, lives as long as the process. */
#pragma once

#include "shared/event.h"

typedef struct Config Config;
typedef struct PodIndex PodIndex;
typedef struct PodGuard PodGuard;
typedef struct PodClient PodClient;
typedef struct ImageStore ImageStore;
typedef struct ImagePulls ImagePulls;
typedef struct StreamEndpoint StreamEndpoint;
typedef struct Events Events;

typedef struct Node {
    const Config *config;
    EventLoop *loop;
    PodIndex *pods;
    PodGuard *guard;
    PodClient *client;
    ImageStore *images;
    ImagePulls *pulls;
    StreamEndpoint *endpoint; /* of streams */
    Events *events;           /* NULL until somebody wants them */
    bool systemd;             /* systemd is PID 1 here and the configuration wants its scopes */
} Node;
