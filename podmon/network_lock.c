/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/network_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/layout.h"

enum { RETRY_US = 10 * 1000 };

int network_lock(int run_fd, NetworkUse use, uint64_t deadline, Failure *why)
{
    const int operation = (use == NETWORK_COLLECTS ? LOCK_EX : LOCK_SH) | LOCK_NB;
    AUTO_CLOSE int fd =
        openat(run_fd, LAYOUT_NETWORK_LOCK, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot open " LAYOUT_NETWORK_LOCK);
    while (flock(fd, operation) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return failure_set(why, FAILURE_INTERNAL, errno, "cannot lock " LAYOUT_NETWORK_LOCK);
        if (clock_monotonic() >= deadline)
            return failure_say(why, FAILURE_DEADLINE_EXCEEDED,
                               use == NETWORK_COLLECTS
                                   ? "a network plugin is still adding a pod"
                                   : "a network plugin is still collecting garbage");
        (void)usleep(RETRY_US);
    }
    return take_fd(&fd);
}
