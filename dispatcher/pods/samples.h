/* SPDX-License-Identifier: Apache-2.0 */
/* What pods use, from the files that their podmons write every few seconds. */
#pragma once

#include "podmon.pb-c.h"

/* −ENOENT: nothing has been measured yet, or nothing runs; −EBADMSG. *ret lives as long as
 * `allocator` says. `id` is that of a pod in the index. */
int samples_read(const char *run_dir, const char *id, ProtobufCAllocator *allocator,
                 Podmon__PodSample **ret);

/* Brings the processor time up to date at `now` (CLOCK_REALTIME), if it is older than half a
 * second: who looks twice within a second, as people do, wants to see it grow. One file is read;
 * nobody is woken. */
void samples_freshen(Podmon__GroupSample *group, int64_t now);

/* NULL: not in it. `sample` may be NULL. */
const Podmon__ContainerSample *samples_find(const Podmon__PodSample *sample, const char *id);
