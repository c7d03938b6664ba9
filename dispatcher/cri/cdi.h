/* SPDX-License-Identifier: Apache-2.0 */
/* The Container Device Interface: devices by names like "vendor.com/class=device", and files of
 * their vendors (*.json, *.yaml) that say what a container with such a device needs. */
#pragma once

#include <cjson/cJSON.h>

#include "dispatcher/arena.h"
#include "podmon.pb-c.h"
#include "runtime_v1.pb-c.h"
#include "shared/failure.h"

/* Adds to the plan what the named devices need: environment, nodes, mounts, groups. `directories`
 * (NULL-terminated): of two files about the same device the one in the later directory counts. A
 * name that no file has is INVALID_ARGUMENT; a need that is not met here (hooks) UNIMPLEMENTED. */
int cdi_apply(Arena *arena, char *const *directories, Runtime__V1__CDIDevice *const *devices,
              size_t count, Podmon__ContainerSpec *spec, Failure *why);

/* Pure: the same for what one file says. 1: it has the device, 0: it has not. `json` may be NULL.
 */
int cdi_apply_file(Arena *arena, const cJSON *json, const char *name, Podmon__ContainerSpec *spec,
                   Failure *why);
