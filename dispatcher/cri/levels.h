/* SPDX-License-Identifier: Apache-2.0 */
/* Levels of SELinux: every pod gets two categories that no other pod of this node has. */
#pragma once

#include "dispatcher/arena.h"
#include "dispatcher/pods/index.h"
#include "shared/failure.h"

/* "s0:cN,cM" with N < M < 1024, by chance among those that no record of a pod holds. The index must
 * be in sync, and nothing else may come between this and the new pod's record. */
int levels_choose(const PodIndex *pods, Arena *arena, const char **ret, Failure *why);
