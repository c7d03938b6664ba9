/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a container: its first process is gone; the rest of it is killed, its output drained
 * into the log, its cgroup removed; only then it is published as exited. */
#pragma once

#include "podmon/container.h"

/* The pidfd is readable. */
void ending_begin(Container *container);

/* It never had a process, or (after a restart) it cannot be found any more; `container->failure`
 * says why a start failed. */
void ending_without_process(Container *container);
