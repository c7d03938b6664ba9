/* SPDX-License-Identifier: Apache-2.0 */
/* A process that may or may not be a child of ours: how it ended. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "shared/process.h" /* who it is */

typedef struct ProcessEnd {
    bool known;      /* false: ended, and nobody can tell how */
    int status;      /* what it returned, or 128 + signal */
    bool was_killed; /* by SIGKILL */
} ProcessEnd;

/* Called when the pidfd is readable. Reaps a child; of another's child the kernel tells how it
 * ended once its parent has reaped it (PIDFD_GET_INFO, Linux 6.15). 0, or −EAGAIN: not known yet,
 * but may be soon. */
int process_read_end(int pidfd, ProcessEnd *ret);

/* Ends the children that are in our own cgroup, with their process groups, and for which `is_kept`
 * does not speak: jobs that were done for us, whose results nobody waits for any more. 0 or −errno.
 */
int process_end_helpers(bool (*is_kept)(void *data, pid_t pid), void *data);

/* Reaps children that are none of ours: orphans of a container without a pid namespace of its own,
 * which come to us as subreaper. Stops at the first child for which `is_ours` says so; it is to be
 * called again once that one has been reaped. */
void process_reap_orphans(bool (*is_ours)(void *data, pid_t pid), void *data);
