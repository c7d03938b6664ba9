/* SPDX-License-Identifier: Apache-2.0 */
/* What exec and attach see of a connection, whichever protocol it speaks: channels. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "podmon/stream/handshake.h"
#include "podmon/stream/remotecommand.h"
#include "shared/event.h"

enum { TRANSPORT_STREAMS_SECONDS = 30 }; /* for a client to open all streams */

typedef struct TransportEvents {
    void (*ready)(void *data); /* every channel is there: once, before any other */
    void (*bytes)(void *data, Channel channel, const uint8_t *bytes, size_t size);
    void (*end)(void *data, Channel channel); /* the client says no more on it: stdin, resize */
    void (*room)(void *data);
    void (*gone)(void *data);   /* the client is, or breaks the protocol, or opens no streams */
    void (*closed)(void *data); /* after transport_finish */
} TransportEvents;

typedef struct Transport Transport;

/* Takes `fd` over, also on failure. `channels`: bit n is a Channel of the request, with the error
 * channel. The answer to the handshake is sent by this. */
int transport_new(EventLoop *loop, int fd, const Handshake *handshake, unsigned channels,
                  const TransportEvents *events, void *data, Transport **ret);
Transport *transport_free(Transport *transport); /* accepts NULL */

/* What came with the head. To be called once, after transport_new. */
void transport_begin(Transport *transport, const void *bytes, size_t size);

void transport_write(Transport *transport, Channel channel, const void *bytes, size_t size);

/* Writes what can be read of `fd` (non-blocking), at most a frame: how much that was, 0 at its end,
 * −errno. */
ssize_t transport_pass(Transport *transport, Channel channel, int fd);
bool transport_has_room(const Transport *transport);
void transport_pause(Transport *transport, bool pause); /* no input for now */

/* Ends the output channels, sends the status behind them, ends the connection. */
void transport_finish(Transport *transport, const Text *status);

/* Ends the connection without a status: a client that broke the protocol does not get one. */
void transport_abort(Transport *transport);
