/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>

#include "dispatcher/cri/forward.h"
#include "dispatcher/cri/handlers.h"
#include "dispatcher/cri/lookup.h"
#include "runtime_v1.pb-c.h"
#include "shared/clock.h"

static int check_request(const Runtime__V1__ExecSyncRequest *request, Failure *why)
{
    if (request->n_cmd == 0 || !*request->cmd[0])
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "cmd: must not be empty");
    if (request->timeout < 0)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "timeout: %lld is negative",
                           (long long)request->timeout);
    return 0;
}

static int find_running(CriCall *call, const char *id, const Pod **ret_pod,
                        const Podmon__ContainerRecord **ret, Failure *why)
{
    int r = lookup_container(call, id, ret_pod, ret, why);

    if (r >= 0 && (*ret)->phase != PODMON__CONTAINER_PHASE__CONTAINER_RUNNING)
        return failure_say(why, FAILURE_FAILED_PRECONDITION, "container \"%.80s\" does not run",
                           id);
    return r;
}

static void fill_result(ProtobufCMessage *answer, const Podmon__Reply *reply)
{
    Runtime__V1__ExecSyncResponse *response = (void *)answer;
    const Podmon__ExecResult *result = reply->exec;

    if (!result)
        return;
    response->stdout = result->stdout;
    response->stderr = result->stderr;
    response->exit_code = result->exit_code;
}

void cri_exec_sync(CriCall *call)
{
    const Runtime__V1__ExecSyncRequest *request = (const void *)cri_call_request(call);
    int64_t timeout = request->timeout < INT32_MAX ? request->timeout : INT32_MAX;
    Podmon__ExecSync exec = PODMON__EXEC_SYNC__INIT;
    Podmon__Request down = PODMON__REQUEST__INIT;
    const Podmon__ContainerRecord *container = NULL;
    const Pod *pod = NULL;
    Failure why;

    if (check_request(request, &why) < 0 ||
        find_running(call, request->container_id, &pod, &container, &why) < 0) {
        cri_call_fail(call, &why);
        return;
    }
    exec.id = container->spec->id;
    exec.n_argv = request->n_cmd;
    exec.argv = request->cmd;
    exec.timeout_ms = timeout * 1000;
    down.call_case = PODMON__REQUEST__CALL_EXEC_SYNC;
    down.exec_sync = &exec;
    /* Without a timeout only the client decides how long it takes. */
    if (timeout == 0)
        timeout = INT32_MAX;
    forward_call(
        call, pod->record->spec->id, &down,
        &(Forward){.answer = forward_empty(call, &runtime__v1__exec_sync_response__descriptor),
                   .fill = fill_result,
                   .gone = FORWARD_GONE_CANCELS,
                   .more_time = (uint64_t)timeout * CLOCK_SECOND});
}
