/* SPDX-License-Identifier: Apache-2.0 */
/* Which pods and containers a list is of: what passes matches every field that is set. Pure. Ids
 * match from their beginning, because clients show them cut and send them back so; NULL filters let
 * everything pass. */
#pragma once

#include <stdbool.h>

#include "podmon.pb-c.h"
#include "runtime_v1.pb-c.h"

bool filter_pod(const Runtime__V1__PodSandboxFilter *filter, const Podmon__PodRecord *pod);
bool filter_container(const Runtime__V1__ContainerFilter *filter, const Podmon__PodRecord *pod,
                      const Podmon__ContainerRecord *container);

/* The same for measurements. */
bool filter_pod_stats(const Runtime__V1__PodSandboxStatsFilter *filter,
                      const Podmon__PodRecord *pod);
bool filter_container_stats(const Runtime__V1__ContainerStatsFilter *filter,
                            const Podmon__PodRecord *pod, const Podmon__ContainerRecord *container);
