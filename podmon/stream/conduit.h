/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes on the way from one descriptor to another in a pipe, moved there by splice(2) and not
 * copied. All zero is empty, and without a pipe yet. One of the two descriptors of a move that is
 * no pipe has to be non-blocking itself: SPLICE_F_NONBLOCK is for pipes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "podmon/stream/queue.h"

enum { CONDUIT_SIZE = 256 * 1024 }; /* it takes less if the kernel refuses that */

typedef struct Conduit {
    int fds[2];
    bool is_open;
    size_t size; /* bytes in it */
} Conduit;

void conduit_done(Conduit *conduit);

/* What `fd` has ready, at most `size`: how much that was, 0 at its end, −EAGAIN: it has nothing, or
 * the pipe is full; −EINVAL: it is of a kind that cannot; −errno. */
ssize_t conduit_take(Conduit *conduit, int fd, size_t size);

/* Moves on to `fd` what it takes. 0: empty now; 1: the rest waits; −EINVAL: it is of a kind that
 * cannot; −errno. */
int conduit_flush(Conduit *conduit, int fd);

/* Copies all of it to `ret`, which has room: how much that was, −errno. */
ssize_t conduit_read(Conduit *conduit, void *ret);

/* Copies what is in it behind what is in the queue. 0 or −errno. */
int conduit_drain(Conduit *conduit, ByteQueue *queue);
