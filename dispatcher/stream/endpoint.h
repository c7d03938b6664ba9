/* SPDX-License-Identifier: Apache-2.0 */
/* Where clients of Exec, Attach and PortForward connect: reads the head of each request, finds the
 * pod whose token it has, and hands the connection to that pod's podmon. From there on nobody here
 * has a part in it. */
#pragma once

#include "dispatcher/node.h"
#include "shared/failure.h"

enum {
    ENDPOINT_CONNECTIONS_MAX = 1024, /* whose head is awaited; more wait in the backlog */
    ENDPOINT_HEAD_SECONDS = 10,
    ENDPOINT_URL_MAX = 128, /* with the slash at its end */
};

typedef struct StreamEndpoint StreamEndpoint;

/* Listens at the address and port of the configuration. With port 0 it is the one of the last time,
 * kept in RUN, so that URLs which are out stay good; or if that is taken, a new one. */
int stream_endpoint_new(Node *node, StreamEndpoint **ret, Failure *why);
StreamEndpoint *stream_endpoint_free(StreamEndpoint *endpoint); /* accepts NULL */

/* "http://127.0.0.1:1234/", or with https: the operation and the token follow. */
const char *stream_endpoint_url(const StreamEndpoint *endpoint);
