/* SPDX-License-Identifier: Apache-2.0 */
/* The pod's transient scope, and the only place that speaks to systemd. Blocking: call it in a
 * worker. libsystemd is loaded here, when it is needed, so that no podmon carries it along. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "podmon.pb-c.h"
#include "shared/failure.h"

/* Registers `plan->unit` with the process in it and waits until the job is done (at most until
 * `deadline`, clock_monotonic): Slice, Description, Delegate=yes, CollectMode=inactive-or-failed,
 * TimeoutStopUSec, properties from a fixed table only. The system bus, else systemd's private
 * socket. A unit of this name with another life is FAILED_PRECONDITION. */
int scope_start(const Podmon__CgroupPlan *plan, pid_t pid, uint64_t deadline, Failure *why);

/* Asks systemd to stop the unit; absent: 0. */
int scope_stop(const char *unit, uint64_t deadline, Failure *why);
