/* SPDX-License-Identifier: Apache-2.0 */
/* The connection to a client: bytes both ways, with bounds. What the socket does not take waits
 * here; who writes asks first whether there is room. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "podmon/stream/conduit.h"
#include "shared/event.h"

enum {
    LINK_QUEUE_MAX = 256 * 1024, /* nothing is read while this waits */
    LINK_END_SECONDS = 60,       /* for a client to take anything, once all is written */
    LINK_DRAIN_SECONDS = 2,      /* for a client to close, once it has taken everything */
    LINK_SILENCE_SECONDS = 60,   /* for a client's machine to acknowledge what has been sent */
    LINK_IDLE_SECONDS = 4 * 3600,
};

typedef struct LinkEvents {
    void (*input)(void *data, const uint8_t *bytes, size_t size);
    void (*room)(void *data);   /* there is room again */
    void (*gone)(void *data);   /* the client is; once, not after link_finish */
    void (*closed)(void *data); /* after link_finish: everything is through, or given up */

    /* May be NULL. When much comes: takes from `fd` what need not be read, and says how much that
     * was; −EINVAL: nothing, the next *ret_size bytes are to be read. */
    ssize_t (*take)(void *data, int fd, size_t *ret_size);
} LinkEvents;

typedef struct Link Link;

/* Takes `fd` over, also on failure. */
int link_new(EventLoop *loop, int fd, const LinkEvents *events, void *data, Link **ret);
Link *link_free(Link *link); /* accepts NULL */

/* Takes all of it. */
void link_write(Link *link, const struct iovec *parts, int count);

/* Nothing waits. Who has more than an answer to say asks before. */
bool link_has_room(const Link *link);

/* What can be read of `fd` (non-blocking), at most CONDUIT_SIZE: its size, 0 at the end, −errno.
 * The bytes are at *ret_bytes, until the next take. Or, if they `may_move` and are many, that is
 * NULL and they are in a pipe of the link's, by splice(2): link_move has to follow at once, which
 * sends them behind a header. */
ssize_t link_take(Link *link, int fd, bool may_move, const uint8_t **ret_bytes);
void link_move(Link *link, const void *header, size_t header_size);

/* No input for now. A client that goes away meanwhile is noticed, with what it had still said. */
void link_pause(Link *link, bool pause);

/* Whatever waits is sent, then the end of it, then the client's is awaited: a socket that is closed
 * with bytes unread would take back what is under way. Input is thrown away from now on. */
void link_finish(Link *link);
