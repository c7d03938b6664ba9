/* SPDX-License-Identifier: Apache-2.0 */
/* How much a container has written: what is in its overlay's upper directory. Nobody counts that
 * for us, so the tree is walked: at once while it is small, in a worker's time when it is not, and
 * the longer that took the more rarely. */
#pragma once

#include <stdbool.h>

#include "podmon/pod.h"

/* Is a measurement due? `last` NULL: there was none. Pure. */
bool sample_layer_is_due(const Podmon__LayerSample *last, uint64_t period, int64_t now);

/* Now, if it is small. *ret is malloc'ed; −E2BIG: a worker has to do it; −errno. */
int sample_layer(const Pod *pod, const char *container_id, Podmon__LayerSample **ret);

/* In a worker; `done` gets what sample_layer_parse wants. */
int sample_layer_begin(const Pod *pod, const char *container_id, WorkerDone done, void *data,
                       Worker **ret, Failure *why);
int sample_layer_parse(const char *output, Podmon__LayerSample **ret);
