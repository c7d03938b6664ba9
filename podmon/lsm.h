/* SPDX-License-Identifier: Apache-2.0 */
/* AppArmor and SELinux: what label the program gets at execve. A machine without the one that was
 * asked for is FAILED_PRECONDITION; never is a container started with less than it asked for. The
 * default profile of AppArmor is used where the node has loaded it. */
#pragma once

#include "podmon.pb-c.h"
#include "shared/failure.h"

enum { LSM_LABEL_MAX = 512 };

typedef struct LsmPlan {
    const char *attribute; /* file of /proc/thread-self/attr to write, NULL: nothing to do */
    char label[LSM_LABEL_MAX];
} LsmPlan;

int lsm_prepare(const Podmon__PodSpec *pod, const Podmon__SecurityPlan *security, LsmPlan *ret,
                Failure *why);

/* For stage 2, while the host's /proc is still there, and no path of the container's can lead the
 * write elsewhere. *ret_fd is −1 when there is nothing to do. 0 or −errno; −EBADF: no procfs. */
int lsm_open(const LsmPlan *plan, int *ret_fd);

/* For stage 2, before execve. The label is read back. 0 or −errno; −EIO: the kernel took another.
 */
int lsm_apply(const LsmPlan *plan, int fd);
