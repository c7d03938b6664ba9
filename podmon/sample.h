/* SPDX-License-Identifier: Apache-2.0 */
/* What the pod uses, measured every few seconds while it is ready and published as a file of its
 * own: whoever asks for it reads the file, and wakes nobody. */
#pragma once

#include <stdbool.h>

typedef struct Pod Pod;
typedef struct Sampler Sampler;

/* To be called whenever the pod's state has been published: measuring begins, ends, or is done
 * anew because of what has changed. Without memory nothing is measured until the next call. */
void sampler_follow(Pod *pod);

/* A worker of it runs, and will be waited for by it. Accepts NULL. */
bool sampler_has_worker(const Sampler *sampler);

/* Returns NULL; accepts NULL. */
Sampler *sampler_free(Sampler *sampler);
