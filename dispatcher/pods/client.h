/* SPDX-License-Identifier: Apache-2.0 */
/* Calls to podmons: one connection each, any number at once, never waiting for one pod on behalf of
 * another. */
#pragma once

#include <stdint.h>

#include "dispatcher/pods/guard.h"
#include "podmon.pb-c.h"
#include "shared/event.h"
#include "shared/failure.h"

typedef struct PodClient PodClient;
typedef struct PodCall PodCall;

/* Exactly once for each call that was not called off: `reply` with code 0, or `why`. Both are gone
 * when the function returns. */
typedef void (*PodAnswer)(void *data, const Podmon__Reply *reply, const Failure *why);

/* `run_dir` and `guard`, which starts podmons, must outlive it. */
int pod_client_new(EventLoop *loop, const char *run_dir, PodGuard *guard, PodClient **ret);
PodClient *pod_client_free(PodClient *client);

/* Sends `request` to the pod's podmon, starting one if none lives. A podmon that goes away without
 * an answer (it had nothing left to do, or died) is started again and asked again, five times at
 * most (never for ExecSync: a command must not run twice). `deadline`: clock_monotonic; passing it
 * is DEADLINE_EXCEEDED, and the work goes on in the pod. The answer never comes from inside this
 * function. *ret (may be NULL) is valid until the answer. */
void pod_call(PodClient *client, const char *pod_id, const Podmon__Request *request,
              uint64_t deadline, PodAnswer answer, void *data, PodCall **ret);

/* The same with a descriptor beside the request, which stays the caller's and open until the
 * answer. Asked only once. */
void pod_call_with(PodClient *client, const char *pod_id, const Podmon__Request *request, int fd,
                   uint64_t deadline, PodAnswer answer, void *data, PodCall **ret);

/* Calls it off: no answer comes, the connection closes, and podmon ends what exists only for this
 * caller (ExecSync). */
void pod_call_cancel(PodCall *call);
