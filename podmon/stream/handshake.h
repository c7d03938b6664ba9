/* SPDX-License-Identifier: Apache-2.0 */
/* The answer to a client's upgrade request, and what is spoken from then on. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "shared/http_head.h"

typedef enum StreamUse {
    STREAM_USE_COMMAND, /* exec and attach */
    STREAM_USE_PORTS,
} StreamUse;

typedef struct StreamProtocol {
    const char *name; /* "" has none: the client named no protocol */
    int version;      /* of remotecommand: 1 to 5 */
    bool is_websocket;
    bool is_base64; /* WebSocket: messages are text */
    bool is_tunnel; /* WebSocket: messages are pieces of a SPDY connection */
} StreamProtocol;

enum { HANDSHAKE_ANSWER_MAX = 1024 };

typedef struct Handshake {
    const StreamProtocol *protocol; /* NULL: refused, the answer is all there is */
    size_t size;
    char answer[HANDSHAKE_ANSWER_MAX];
} Handshake;

void handshake_answer(const HttpHead *head, StreamUse use, Handshake *ret);
