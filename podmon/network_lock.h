/* SPDX-License-Identifier: Apache-2.0 */
/* Plugins may add side by side, but none while garbage is collected: what it adds would be missing
 * in the list of what is in use, and taken away. RUN/network.lock (flock(2)) falls with whoever
 * holds it. */
#pragma once

#include <stdint.h>

#include "shared/failure.h"

typedef enum NetworkUse {
    NETWORK_ADDS,
    NETWORK_COLLECTS,
} NetworkUse;

/* `run_fd`: RUN. Blocks until `deadline` (clock_monotonic) at most. A descriptor whose closing
 * gives the lock back, or −errno with DEADLINE_EXCEEDED or INTERNAL. */
int network_lock(int run_fd, NetworkUse use, uint64_t deadline, Failure *why);
