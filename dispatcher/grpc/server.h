/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC over HTTP/2 without TLS on libh2o: unary and server-streaming methods. It knows paths and
 * bytes, not messages. Everything happens in the thread that runs the loop. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dispatcher/loop.h"
#include "shared/failure.h"

enum {
    GRPC_MESSAGE_MAX = 16 * 1024 * 1024,
    GRPC_STREAMS_MAX = 1000,     /* open streams on one connection */
    GRPC_CONNECTIONS_MAX = 1200, /* more wait in the listening socket */
    GRPC_LISTENERS_MAX = 8,
};

typedef struct GrpcServer GrpcServer;
typedef struct GrpcCall GrpcCall;

/* A request has arrived whole. `path` is "/package.Service/Method"; it and `message` are gone when
 * this returns. The call is valid until grpc_call_finish, or until the function given to
 * grpc_call_on_gone was called; one of both must come. */
typedef void (*GrpcServe)(void *data, GrpcCall *call, const char *path, const uint8_t *message,
                          size_t size);

/* `loop` must outlive the server. */
int grpc_server_new(Loop *loop, GrpcServe serve, void *data, GrpcServer **ret);

/* Accepts on a listening, non-blocking socket from now on; takes the descriptor, also on failure.
 * −ENOBUFS above GRPC_LISTENERS_MAX. */
int grpc_server_listen(GrpcServer *server, int listen_fd);

/* Stops accepting, tells the clients to go elsewhere, ends calls that were given to grpc_call_open
 * with UNAVAILABLE; other open calls go on. `quiet` is called once, from the loop, when none is
 * left and the answers are written. Once per server. */
void grpc_server_stop(GrpcServer *server, void (*quiet)(void *data), void *data);

size_t grpc_server_live_calls(const GrpcServer *server);

/* Closes every connection; calls still open are gone when this returns. Accepts NULL. */
GrpcServer *grpc_server_free(GrpcServer *server);

/* Room for one response message, to be packed in place; sent when the caller returns to the loop
 * or calls grpc_call_finish. Never NULL. Only before grpc_call_finish. */
uint8_t *grpc_call_reserve(GrpcCall *call, size_t size);

/* Bytes not yet handed to the connection: a producer that sees this grow is ahead of its client. */
size_t grpc_call_queued(const GrpcCall *call);

/* Sends the response headers now, for a stream whose first message may be long in coming and that
 * has no end of its own. */
void grpc_call_open(GrpcCall *call);

/* Ends the call with trailers (`text` may be NULL; it is copied). The call must not be used
 * afterwards. */
void grpc_call_finish(GrpcCall *call, FailureCode code, const char *text);

/* Called once, from the loop and never from inside another function of this header, if the call
 * ends before grpc_call_finish: cancelled, deadline passed, connection gone, server stopped. The
 * call must not be used from then on. At most one function; a NULL takes it back. */
void grpc_call_on_gone(GrpcCall *call, void (*function)(void *data), void *data);
