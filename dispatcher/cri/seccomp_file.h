/* SPDX-License-Identifier: Apache-2.0 */
/* The node's own seccomp profiles: files that the kubelet or the administrator has put there. What
 * they say is podmon's business. */
#pragma once

#include "dispatcher/arena.h"
#include "podmon.pb-c.h"
#include "shared/failure.h"

/* Reads the profile that the plan names, if it names one, into the plan. FAILED_PRECONDITION for a
 * file that is not there, INVALID_ARGUMENT for one that is no regular file of at most 1 MiB. */
int seccomp_file_read(Arena *arena, Podmon__SecurityPlan *security, Failure *why);
