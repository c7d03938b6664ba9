/* SPDX-License-Identifier: Apache-2.0 */
/* Clearing away what was left behind. */
#pragma once

#include "dispatcher/ctl/command.h"
#include "dispatcher/ctl/trace.h"

/* Removes it, or, of a pod in want of a podmon, starts one. The caller has made sure that it is
 * litter. Gone by itself: 0. Waits at most some seconds for processes to end. */
int repair_trace(const Command *command, const Trace *trace, Failure *why);
