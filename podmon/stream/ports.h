/* SPDX-License-Identifier: Apache-2.0 */
/* One port-forward session, in its own process, which is in the pod's network namespace. */
#pragma once

#include "podmon/stream/handshake.h"
#include "podmon/stream/plan.h"
#include "podmon/stream/target.h"

enum {
    PORTS_PAIRS_MAX = 512,
    PORTS_PAIR_SECONDS = 30, /* for a client to open both streams of a connection */
    PORTS_CHANNELS_MAX = 64, /* ports of one WebSocket */
    PORTS_ERROR_SIZE = 512,
};

/* Serve until the session is over. `rest`: what came behind the head. 0 or −errno. The first over
 * SPDY, bare or in a WebSocket; the second over the channels of a WebSocket. */
int ports_serve_pairs(EventLoop *loop, const StreamPlan *plan, const Handshake *handshake,
                      const void *rest, size_t size);
int ports_serve_channels(EventLoop *loop, const StreamPlan *plan, const Handshake *handshake,
                         const void *rest, size_t size);

/* What a client is told of a connection that there is not; PORTS_ERROR_SIZE. */
void ports_explain(const StreamPlan *plan, unsigned port, const char *reason, char *ret);

/* Calls `quit` when podmon says that the pod stops; that podmon is gone means nothing. */
typedef struct PortsControl {
    int fd;
    EventSource *source;
    void (*quit)(void *data);
    void *data;
} PortsControl;
int ports_watch_control(EventLoop *loop, PortsControl *control);
