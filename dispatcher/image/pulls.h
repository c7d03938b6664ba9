/* SPDX-License-Identifier: Apache-2.0 */
/* The pulls that a dispatcher has under way: one worker process for each image, however many wait
 * for it. Who asks with other credentials has a worker of his own, since whether he may have the
 * image is for the registry to say. A worker that nobody waits for any more is killed. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dispatcher/image/credentials.h"
#include "shared/event.h"

typedef struct ImagePulls ImagePulls;
typedef struct PullWaiter PullWaiter;

enum { PULLS_MAX = 32 };

/* Borrowed, as long as the pulls live. */
typedef struct PullSettings {
    const char *root_dir, *registries_dir;
    const char *slice; /* the workers' control groups are made there */
    bool systemd;      /* as scopes */
    uint64_t memory_max;
    const char *proxy; /* NULL: the environment's */
    unsigned int parallel_layers, stall_timeout_ms;
} PullSettings;

/* Once, from the loop; the waiter is gone. `image_id` is "sha256:…", or NULL with `why`. */
typedef void PullDone(void *data, const char *image_id, const Failure *why);

int image_pulls_new(EventLoop *loop, const PullSettings *settings, ImagePulls **ret);

/* Workers under way go on, nobody is told. */
ImagePulls *image_pulls_free(ImagePulls *pulls);

/* `reference` as people write it; credentials are copied. INVALID_ARGUMENT: no reference;
 * RESOURCE_EXHAUSTED: PULLS_MAX workers run. */
int image_pulls_join(ImagePulls *pulls, const char *reference, const Credentials *credentials,
                     PullDone *done, void *data, PullWaiter **ret, Failure *why);

/* Does not wait any more; `done` is not called. */
void pull_waiter_leave(PullWaiter *waiter);
