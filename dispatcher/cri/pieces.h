/* SPDX-License-Identifier: Apache-2.0 */
/* Lists that are answered as a stream, so that no message is too long for a client. */
#pragma once

#include "dispatcher/api/call.h"

/* Sends `items` (pointers to messages) in the one field of as many `response`s as they need, and
 * ends the call. An empty list is a stream without a message. */
void pieces_send(CriCall *call, const ProtobufCMessageDescriptor *response, void *items,
                 size_t count);
