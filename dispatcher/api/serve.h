/* SPDX-License-Identifier: Apache-2.0 */
/* From a gRPC path and bytes to a handler, and back: finds the API by the package in the path
 * ("/runtime.v1.…", "/runtime.…"), decodes, converts the seed's messages by field name, calls the
 * handler, encodes the answer. What handlers see of it is in call.h. */
#pragma once

#include "dispatcher/grpc/server.h"
#include "dispatcher/node.h"

/* A GrpcServe; `data` is the Node. */
void api_serve(void *data, GrpcCall *call, const char *path, const uint8_t *message, size_t size);
