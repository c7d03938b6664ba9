/* SPDX-License-Identifier: Apache-2.0 */
/* One exec or attach session, in its own process: between the client's channels and the pipes (or
 * the terminal) that podmon hands over. */
#pragma once

#include "podmon/stream/handshake.h"
#include "podmon/stream/plan.h"
#include "shared/event.h"

/* Serves until the session is over. `rest`: what came behind the head. 0 or −errno. */
int remote_serve(EventLoop *loop, const StreamPlan *plan, const Handshake *handshake,
                 const void *rest, size_t size);
