/* SPDX-License-Identifier: Apache-2.0 */
/* One CRI call, whichever API it came in by: the handler sees runtime.v1 messages only. */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "dispatcher/arena.h"
#include "dispatcher/node.h"
#include "shared/failure.h"

typedef struct CriCall CriCall;

/* Answers now or later, with exactly one of cri_call_reply and cri_call_fail; also when the client
 * is gone by then (the answer goes nowhere). The call ends there, and its arena with it. */
typedef void (*CriHandler)(CriCall *call);

/* The runtime.v1 message of the method's input type; lives in the arena. */
const ProtobufCMessage *cri_call_request(const CriCall *call);
Arena *cri_call_arena(CriCall *call);
Node *cri_call_node(CriCall *call);

/* `response` is the runtime.v1 message of the method's output type; it is packed before this
 * returns, the caller keeps what it owns. */
void cri_call_reply(CriCall *call, const ProtobufCMessage *response);
void cri_call_fail(CriCall *call, const Failure *why);

/* Server streaming: one more message; the call goes on. cri_call_end closes it with status 0. */
void cri_call_send(CriCall *call, const ProtobufCMessage *response);
void cri_call_end(CriCall *call);
size_t cri_call_queued(const CriCall *call);

/* Has the client cancelled, run out of time or gone away? */
bool cri_call_is_gone(const CriCall *call);

/* Called once, from the loop, if that happens before the answer. The handler still has to answer.
 */
void cri_call_on_gone(CriCall *call, void (*function)(void *data), void *data);
