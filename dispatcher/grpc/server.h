/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC over HTTP/2 without TLS on libh2o: unary and server-streaming methods. It knows paths and
 * bytes, not messages. Everything happens in the thread that runs the loop. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/failure.h"

struct st_h2o_evloop_t;

enum {
    GRPC_MESSAGE_MAX = 16 * 1024 * 1024,
    GRPC_STREAMS_MAX = 1000, /* open streams on one connection */
    GRPC_CONNECTIONS_MAX = 256,
};

typedef struct GrpcServer GrpcServer;
typedef struct GrpcCall GrpcCall;

/* A request has arrived whole. `path` is "/package.Service/Method", `message` lives until the call
 * has ended. It must sooner or later call grpc_call_finish, unless the call was gone before. */
typedef void (*GrpcServe)(void *data, GrpcCall *call, const char *path, const uint8_t *message,
                          size_t size);

/* `loop` is h2o's (h2o_loop_t *, dispatcher/loop.h). */
int grpc_server_new(struct st_h2o_evloop_t *loop, GrpcServe serve, void *data, GrpcServer **ret);

/* Accepts on a listening socket from now on; takes the descriptor. */
int grpc_server_listen(GrpcServer *server, int listen_fd);

/* Stops accepting; open calls go on. */
void grpc_server_stop(GrpcServer *server);
size_t grpc_server_live_calls(const GrpcServer *server);
GrpcServer *grpc_server_free(GrpcServer *server);

/* Room for one response message, to be packed in place; sent when the caller returns to the loop
 * or calls grpc_call_finish. Never NULL. Only before grpc_call_finish. */
uint8_t *grpc_call_reserve(GrpcCall *call, size_t size);

/* Bytes not yet handed to the connection: a producer that sees this grow is ahead of its client. */
size_t grpc_call_queued(const GrpcCall *call);

/* Sends the response headers now, for a stream whose first message may be long in coming. */
void grpc_call_open(GrpcCall *call);

/* Ends the call with trailers (`text` may be NULL; it is copied). The call must not be used
 * afterwards. */
void grpc_call_finish(GrpcCall *call, FailureCode code, const char *text);

/* Called once if the call ends before grpc_call_finish: cancelled, deadline passed, connection
 * gone. The call must not be used from then on. At most one function; a NULL takes it back. */
void grpc_call_on_gone(GrpcCall *call, void (*function)(void *data), void *data);
