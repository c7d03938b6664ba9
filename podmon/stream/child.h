/* SPDX-License-Identifier: Apache-2.0 */
/* The process that serves one client's connection: a fork of podmon without its privileges. What it
 * reads is the client's; if that brings it down, one session has ended and nothing else. */
#pragma once

#include <sys/types.h>

#include "podmon/stream/plan.h"
#include "shared/failure.h"

/* Everything in `plan` stays the caller's; the child has its own copy. */
int child_start(const StreamPlan *plan, pid_t *ret_pid, int *ret_pidfd, Failure *why);
