/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cri/forward.h"

#include <unistd.h>

#include "dispatcher/pods/client.h"
#include "shared/clock.h"

enum { PROTOCOL_VERSION = 1 };

/* A kubelet gives RunPodSandbox four minutes, and nothing more. */
#define TIME_OF_A_CALL (240 * CLOCK_SECOND)

/* One call under way; lives in the CRI call's arena. */
typedef struct Flight {
    CriCall *call;
    PodCall *pod_call; /* NULL once answered or called off */
    Forward forward;
} Flight;

ProtobufCMessage *forward_empty(CriCall *call, const ProtobufCMessageDescriptor *response)
{
    ProtobufCMessage *message = arena_alloc(cri_call_arena(call), response->sizeof_message);

    protobuf_c_message_init(response, message);
    return message;
}

static void let_go(Flight *flight)
{
    if (flight->forward.hold_fd > 0)
        (void)close(flight->forward.hold_fd);
    flight->forward.hold_fd = 0;
}

static void take_answer(void *data, const Podmon__Reply *reply, const Failure *why)
{
    Flight *flight = data;
    const Forward *forward = &flight->forward;
    bool done =
        !why || (why->code == FAILURE_NOT_FOUND && forward->absent == FORWARD_ABSENT_IS_DONE);

    flight->pod_call = NULL;
    let_go(flight);
    if (!done) {
        cri_call_fail(flight->call, why);
        return;
    }
    if (!why && forward->fill)
        forward->fill(forward->answer, reply);
    cri_call_reply(flight->call, forward->answer);
}

static void call_off(void *data)
{
    Flight *flight = data;
    Failure why;

    if (!flight->pod_call)
        return;
    pod_call_cancel(flight->pod_call);
    flight->pod_call = NULL;
    let_go(flight);
    (void)failure_say(&why, FAILURE_CANCELLED, "the client has gone");
    cri_call_fail(flight->call, &why);
}

void forward_call(CriCall *call, const char *pod_id, Podmon__Request *request,
                  const Forward *forward)
{
    Flight *flight = arena_alloc(cri_call_arena(call), sizeof(*flight));

    flight->call = call;
    flight->forward = *forward;
    request->version = PROTOCOL_VERSION;
    pod_call(cri_call_node(call)->client, pod_id, request,
             clock_monotonic() + TIME_OF_A_CALL + forward->more_time, take_answer, flight,
             &flight->pod_call);
    if (forward->gone == FORWARD_GONE_CANCELS)
        cri_call_on_gone(call, call_off, flight);
}
