/* SPDX-License-Identifier: Apache-2.0 */
/* From a pod's first record to READY: cgroup (systemd's scope) and namespaces at the same time,
 * then the network. On failure everything is undone and the pod is FAILED, an answer for whoever
 * asks. */
#pragma once

#include "podmon/pod.h"

void setup_begin(Pod *pod);

/* Ends and removes what an earlier podmon may have left that died in the middle of this; the
 * network's part is done in setup_begin. */
int setup_clear(Pod *pod, Failure *why);

/* An absolute cgroup path of a parent and a name, malloc'ed; NULL without memory. Pure. */
char *setup_join_cgroup(const char *parent, const char *name);

/* Moves podmon into the leaf "supervisor" of the pod's cgroup. */
int setup_join_supervisor(const Pod *pod, Failure *why);
