/* SPDX-License-Identifier: Apache-2.0 */
/* A CRI call that a podmon answers: the request goes down, its reply or failure becomes the
 * call's. */
#pragma once

#include <stdint.h>

#include "dispatcher/api/call.h"
#include "podmon.pb-c.h"

typedef enum ForwardAbsent {
    FORWARD_ABSENT_FAILS,
    FORWARD_ABSENT_IS_DONE, /* what is to end or to go away is gone: that is success */
} ForwardAbsent;

typedef enum ForwardGone {
    FORWARD_GONE_FINISHES, /* the work goes on when the client has gone: a repeated call joins it */
    FORWARD_GONE_CANCELS,  /* the work is for this client only */
} ForwardGone;

typedef struct Forward {
    /* The runtime.v1 response, as far as it is known beforehand; lives in the call's arena. */
    ProtobufCMessage *answer;
    /* Adds what the reply says; what it takes over lives as long as the reply. May be NULL. */
    void (*fill)(ProtobufCMessage *answer, const Podmon__Reply *reply);
    ForwardAbsent absent;
    ForwardGone gone;
    uint64_t more_time; /* nanoseconds that the request itself asks for */
    int hold_fd;        /* closed when the pod has answered; 0: none */
} Forward;

/* A response with nothing in it, in the call's arena. */
ProtobufCMessage *forward_empty(CriCall *call, const ProtobufCMessageDescriptor *response);

/* Answers the call later. The request need only live until this returns. Past the time that the
 * longest call of a kubelet has, the call is answered with DEADLINE_EXCEEDED. */
void forward_call(CriCall *call, const char *pod_id, Podmon__Request *request,
                  const Forward *forward);
