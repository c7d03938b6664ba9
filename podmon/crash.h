/* SPDX-License-Identifier: Apache-2.0 */
/* podmon executes itself again, in the same process: after a crash, where nothing in memory can be
 * believed any more, and to become another version of itself. Its children stay its children; the
 * control socket and the lock stay open, everything else is found again by podmon/restore.h. */
#pragma once

#include "podmon/ledger.h"
#include "shared/failure.h"

/* From now on SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE and SIGSYS begin this program anew, with
 * these arguments and on a stack of their own; too many crashes in too short a time end the process
 * instead. `argv` and `ledger` must live as long as the process. */
int crash_prepare(char **argv, Ledger *ledger);

/* Executes `program` with the same arguments. Returns only on failure, and then all is as before.
 */
int crash_become(const char *program, Failure *why);
