/* SPDX-License-Identifier: Apache-2.0 */
/* The connection to a client: bytes both ways, with bounds. What the socket does not take waits
 * here; who writes asks first whether there is room. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "shared/event.h"

enum {
    LINK_QUEUE_MAX = 256 * 1024, /* no more is to be written, and none read, while this waits */
    LINK_END_SECONDS = 60,       /* for a client to take anything, once all is written */
    LINK_DRAIN_SECONDS = 2,      /* for a client to close, once it has taken everything */
    LINK_IDLE_SECONDS = 4 * 3600,
};

typedef struct LinkEvents {
    void (*input)(void *data, const uint8_t *bytes, size_t size);
    void (*room)(void *data);   /* there is room again */
    void (*gone)(void *data);   /* the client is; once, not after link_finish */
    void (*closed)(void *data); /* after link_finish: everything is through, or given up */
} LinkEvents;

typedef struct Link Link;

/* Takes `fd` over, also on failure. */
int link_new(EventLoop *loop, int fd, const LinkEvents *events, void *data, Link **ret);
Link *link_free(Link *link); /* accepts NULL */

/* Takes all of it. */
void link_write(Link *link, const struct iovec *parts, int count);
bool link_has_room(const Link *link);

/* No input for now. A client that goes away meanwhile is noticed, with what it had still said. */
void link_pause(Link *link, bool pause);

/* Whatever waits is sent, then the end of it, then the client's is awaited: a socket that is closed
 * with bytes unread would take back what is under way. Input is thrown away from now on. */
void link_finish(Link *link);
