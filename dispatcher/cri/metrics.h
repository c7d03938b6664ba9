/* SPDX-License-Identifier: Apache-2.0 */
/* Measurements under the names and with the labels that cAdvisor gives them, which is what
 * dashboards of clusters know. A value is a whole number in runtime.v1: seconds are cut. Pure. */
#pragma once

#include "dispatcher/arena.h"
#include "podmon.pb-c.h"
#include "runtime_v1.pb-c.h"

Runtime__V1__MetricDescriptor **metrics_describe(Arena *arena, size_t *ret_count);

/* The pod's own (container and image are empty in their labels) and those of its containers. */
Runtime__V1__PodSandboxMetrics *metrics_of_pod(Arena *arena, const Podmon__PodRecord *pod,
                                               const Podmon__PodSample *sample);
