/* SPDX-License-Identifier: Apache-2.0 */
/* Stage 2's part of the mounts: a prepared plan put in place in the container's own mount
 * namespace. Async-signal-safe. No path of the container is ever given to a call that would follow
 * its links out of the root: targets are resolved by podmon/path and mounted on by descriptor. */
#pragma once

#include "podmon/mounts.h"

/* Attaches the root, all mounts, masks and read-only paths, and makes the root the caller's `/`;
 * the host's mounts are gone from the namespace afterwards. 0, or −errno with *ret_where the path
 * that it failed at. */
int attach_container(const MountPlan *plan, int root_fd, const char **ret_where);

/* Makes `path`, as seen from `/`, the working directory. −ENOENT when it is outside the root. */
int attach_enter(const char *path);

/* For the pod's init, which needs no files: an empty root that nobody else sees, with a label of
 * SELinux or an empty one. */
int attach_nothing(const char *place, const char *label);
