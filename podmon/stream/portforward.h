/* SPDX-License-Identifier: Apache-2.0 */
/* Which streams of a port-forward connection belong together: each forwarded connection is a pair,
 * one for data, one for an error's text. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "podmon/stream/spdy_headers.h"

enum { PORT_REQUEST_SIZE = 64 };

typedef struct PortStream {
    bool is_error;
    uint16_t port;                   /* > 0 */
    char request[PORT_REQUEST_SIZE]; /* the same for both of a pair */
} PortStream;

/* −EINVAL: a header is missing, or no port, or no type of stream. */
int port_stream_parse(uint32_t id, const SpdyHeaders *headers, PortStream *ret);
