/* SPDX-License-Identifier: Apache-2.0 */
/* Records as runtime.v1 shows them. Pure. What is returned lives in the arena and shares strings
 * with the record; it is valid as long as both. Labels and annotations come back as they came. */
#pragma once

#include <stdbool.h>

#include "dispatcher/arena.h"
#include "podmon.pb-c.h"
#include "runtime_v1.pb-c.h"

/* READY is a pod in phase READY alone: one that still starts cannot take containers. */
Runtime__V1__PodSandboxState raise_pod_state(const Podmon__PodRecord *pod);
Runtime__V1__ContainerState raise_container_state(const Podmon__ContainerRecord *container);

/* Who they are. */
Runtime__V1__PodSandboxMetadata *raise_pod_name(Arena *arena, const Podmon__PodName *name);
Runtime__V1__ContainerMetadata *raise_container_name(Arena *arena,
                                                     const Podmon__ContainerSpec *spec);

Runtime__V1__PodSandbox *raise_pod(Arena *arena, const Podmon__PodRecord *pod);
Runtime__V1__PodSandboxStatus *raise_pod_status(Arena *arena, const Podmon__PodRecord *pod);

Runtime__V1__Container *raise_container(Arena *arena, const Podmon__PodRecord *pod,
                                        const Podmon__ContainerRecord *container);
Runtime__V1__ContainerStatus *raise_container_status(Arena *arena,
                                                     const Podmon__ContainerRecord *container);

/* The size is never 0, which the kubelet takes for "no image". */
Runtime__V1__Image *raise_image(Arena *arena, const Podmon__ImageRecord *image, bool pinned);
