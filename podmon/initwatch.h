/* SPDX-License-Identifier: Apache-2.0 */
/* The pod's init, watched: when the first process of a pid namespace ends, the kernel kills all
 * others in it and lets none in any more (pid_namespaces(7)), so such a pod is good for nothing. */
#pragma once

#include "podmon/pod.h"

/* For a pod that is ready, with its init alive or not; one without has nothing to watch. When the
 * init has ended the pod is stopped as by SIGTERM, which its owner sees as a pod that is not ready.
 */
void initwatch_begin(Pod *pod);

/* Before the init is ended on purpose. Idempotent. */
void initwatch_end(Pod *pod);
