/* SPDX-License-Identifier: Apache-2.0 */
/* An image from its registry into the store: manifest, configuration, layers, all or nothing. Waits
 * for all of that: for a process of its own (dispatcher/image/worker). */
#pragma once

#include "dispatcher/image/credentials.h"
#include "dispatcher/image/digest.h"

typedef enum PullState {
    PULL_WAITING,
    PULL_DOWNLOADING,
    PULL_UNPACKING, /* all is there, and not all is unpacked */
    PULL_DONE,
} PullState;

/* Of one layer. */
typedef struct PullProgress {
    const char *digest; /* of its blob */
    size_t position, count;
    uint64_t got, size;
    PullState state;
} PullProgress;

enum {
    PULL_PARALLEL_MAX = 16,
    PULL_PARALLEL_DEFAULT = 3,
};

/* Borrowed for the call. */
typedef struct PullPlan {
    const char *root_dir, *registries_dir;
    const char *reference; /* as people write it */
    const Credentials *credentials;
    unsigned int parallel_layers; /* 1 to PULL_PARALLEL_MAX */
    uint64_t stall_timeout;       /* nanoseconds without progress that end a request */
    void (*report)(void *data, const PullProgress *progress); /* may be NULL */
    void *data;
    const char *proxy; /* in place of the environment's, for registries without their own; NULL */
} PullPlan;

/* *ret_id: "sha256:…". INVALID_ARGUMENT: no reference; NOT_FOUND, PERMISSION_DENIED, UNAVAILABLE by
 * the registry; FAILED_PRECONDITION: what it has is wrong; RESOURCE_EXHAUSTED: no room. Nothing of
 * it is visible after a failure. Needs root. */
int image_pull(const PullPlan *plan, char ret_id[DIGEST_TEXT_SIZE], Failure *why);
