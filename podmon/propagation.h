/* SPDX-License-Identifier: Apache-2.0 */
/* Whether mounts can travel between a host directory and a container. */
#pragma once

#include "podmon.pb-c.h"
#include "shared/failure.h"

/* FAILED_PRECONDITION when the mount that `path` lies on cannot do what is asked for: sharing needs
 * a shared mount on the host, receiving a shared one or one that receives itself. */
int propagation_check(const char *path, Podmon__MountPropagation propagation, Failure *why);
