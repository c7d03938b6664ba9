/* SPDX-License-Identifier: Apache-2.0 */
/* Which method of which API a gRPC path means. */
#pragma once

#include <stdbool.h>

#include "dispatcher/api/method.h"

/* `request` and `response` are what is on the wire: runtime.v1's messages, or the seed's of the
 * same name, which then are converted. */
typedef struct Route {
    const Method *method;
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *response;
    bool seed;
} Route;

/* "/runtime.v1.RuntimeService/Version", also as runtime.v1alpha2. UNIMPLEMENTED for what is in no
 * table or has no handler. */
int route_find(const char *path, Route *ret, Failure *why);
