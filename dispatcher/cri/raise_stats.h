/* SPDX-License-Identifier: Apache-2.0 */
/* Measurements as runtime.v1 shows them. Pure, like raise.h. */
#pragma once

#include "dispatcher/arena.h"
#include "podmon.pb-c.h"
#include "runtime_v1.pb-c.h"

/* `sample` NULL: a running container that was not measured yet has used nothing since it started;
 * one that does not run has neither processor nor memory. `file_system`: where the writable layer
 * lies, as ImageFsInfo names it. */
Runtime__V1__ContainerStats *raise_container_stats(Arena *arena,
                                                   const Podmon__ContainerRecord *container,
                                                   const Podmon__ContainerSample *sample,
                                                   const char *file_system);

/* With those of its running containers. `sample` may be NULL. */
Runtime__V1__PodSandboxStats *raise_pod_stats(Arena *arena, const Podmon__PodRecord *pod,
                                              const Podmon__PodSample *sample,
                                              const char *file_system);
