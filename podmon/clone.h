/* SPDX-License-Identifier: Apache-2.0 */
/* The moment in which a process begins to be: clone3(2), Linux 5.7 for CLONE_INTO_CGROUP. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "podmon/stage.h"

/* Makes a child of podmon's that goes through the stage and executes its program; what goes wrong
 * there it says to `report_fd`. It is born in its cgroup, with no signal handler of podmon's, in
 * the namespaces that `flags` (CLONE_NEW…) make, and in the pid namespace of `pidns_fd` (a
 * namespace or a pidfd; −1: in podmon's, unless the flags make one). With one, `answer` is a pipe
 * that does not block, whose writing end the stage keeps: a helper says the pid there. Returns the
 * pid in podmon's namespace and a descriptor of it that is the caller's, or −errno (−ESRCH: that
 * namespace has ended). */
pid_t clone_stage(const StagePlan *stage, uint64_t flags, int pidns_fd, const int answer[2],
                  int report_fd, int *ret_pidfd);
