/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a pod: StopPodSandbox (processes, network, namespaces, cgroups) and RemovePodSandbox
 * (directories). Each step can be done again, so that a failure leaves a pod that can be stopped
 * by the next call. */
#pragma once

#include "podmon/pod.h"

/* `call` may be NULL. Answered when the pod's state says STOPPED. */
void teardown_stop(Pod *pod, Call *call);

/* Stops it if need be, removes all of it, answers; the loop ends. */
void teardown_remove(Pod *pod, Call *call);

/* systemctl stop: like teardown_stop, but every container gets its stop signal and time. */
void teardown_stop_gracefully(Pod *pod);

/* A container has settled, or the pod has become ready: goes on with what waited for it. */
void teardown_go_on(Pod *pod);

/* Of a pod without a record: its removal was cut short when only the directories were left, and is
 * finished. FAILURE_INTERNAL if there is more than that. */
int teardown_finish_removal(Pod *pod, Failure *why);

/* After a restart, in STOPPING or REMOVING: goes on with what an earlier podmon began. */
void teardown_resume(Pod *pod);

/* Removes what can be there of a pod that is not to be, synchronously: namespaces, cgroups,
 * directories; processes are killed first. The network is not touched. */
int teardown_erase(Pod *pod, Failure *why);
