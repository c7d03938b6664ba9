/* SPDX-License-Identifier: Apache-2.0 */
/* Every pod that lives has a podmon: one that is killed is replaced at once, without waiting for a
 * request. Until then the guard holds the first processes of the pod's containers by pidfd, so that
 * how one of them ends meanwhile is not lost (PIDFD_GET_INFO, Linux 6.15). It holds nothing that
 * the next dispatcher would not find again. */
#pragma once

#include <stdint.h>

#include "dispatcher/pods/index.h"
#include "dispatcher/pods/launch.h"
#include "shared/event.h"
#include "shared/failure.h"

typedef struct PodGuard PodGuard;

/* Watches the pods of `index`, whose observer it becomes; both must outlive it. `patience`:
 * nanoseconds after which a podmon that does not answer has to begin anew (pulse.h); 0: never, and
 * nobody asks. −ENOMEM, −errno. */
int pod_guard_new(EventLoop *loop, PodIndex *index, const LaunchPaths *paths, uint64_t patience,
                  PodGuard **ret);
PodGuard *pod_guard_free(PodGuard *guard); /* accepts NULL; podmons go on */

/* Has the network plugins give back what no pod uses (launch_collect), beside everything else. What
 * comes of it is in the log. */
void pod_guard_collect(PodGuard *guard, const char *conf_dir, char *const *bin_dirs,
                       uint32_t timeout_ms);

/* For how many nanoseconds the pod's podmon has not answered; 0: it does, as far as is known. */
uint64_t pod_guard_silence(const PodGuard *guard, const char *pod_id);

/* Makes sure that there is a podmon for this pod, for whoever wants to ask it something
 * (launch_ensure). 0, or −errno with `why`. */
int pod_guard_start(PodGuard *guard, const char *pod_id, Failure *why);
