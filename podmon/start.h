/* SPDX-License-Identifier: Apache-2.0 */
/* From a created container to a running process. */
#pragma once

#include "podmon/container.h"

/* Answers the call when the program runs, or when it is known that it will not and the container
 * is EXITED with reason StartError. The container must be CREATED. */
void start_container(Container *container, Call *call);

/* Goes on with one that an earlier podmon started and that runs: its streams, its end. The
 * container's `process` is set. */
int start_resume(Container *container, Failure *why);

/* The leaf of the container's cgroup in which its first process is. On v2 a group with limits
 * cannot hold processes beside the groups of the execs; elsewhere it is the group itself.
 * Malloc'ed; NULL without memory. */
char *start_make_leaf_path(const Container *container);
