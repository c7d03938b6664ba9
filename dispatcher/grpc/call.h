/* SPDX-License-Identifier: Apache-2.0 */
/* One gRPC call as the server sees it; what handlers see of it is in server.h. */
#pragma once

#include <h2o.h>
#include <stdbool.h>
#include <stdint.h>

#include "dispatcher/grpc/server.h"
#include "shared/event.h"

/* The stream of a call has been closed, its last byte written if all went well. `early`: before
 * the call had been answered. Comes from inside h2o: nothing may be sent. */
typedef void (*CallClosed)(void *data, bool early);

/* Calls of a server, for ending the open ones. All zero with `first` NULL is empty. */
typedef struct CallList {
    GrpcCall *first;
} CallList;

/* A call for a request that h2o has handed over. `deadline`: clock_monotonic, UINT64_MAX without.
 * Ends the process without memory, as h2o does. */
GrpcCall *call_begin(h2o_req_t *request, EventLoop *events, CallList *list, uint64_t deadline,
                     CallClosed closed, void *data);

/* Ends what grpc_call_open has opened, with UNAVAILABLE. */
void call_end_open(CallList *list);
