/* SPDX-License-Identifier: Apache-2.0 */
/* libcgroup, for changing limits of an existing v1 group.
 *
 * It is loaded for the call and unloaded behind it: its table of mounts takes 830 KiB of memory in
 * the process that initialises it, more than all the rest of a podmon. The paths that a pod's start
 * waits for do without: there it would double the time. Nor may it delete groups: on v1 it moves a
 * process that is still inside to the parent instead of refusing. */
#pragma once

#include "podmon/cgroup_values.h"

/* 0; −EINVAL: a value that libcgroup or the kernel refuses; −ENOSYS: no usable library. */
int cgroup_library_modify(const char *path, const CgroupValues *values);
