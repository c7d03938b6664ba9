/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that wait, first in, first out. All zero is empty. */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct ByteQueue {
    uint8_t *data;
    size_t start, end, capacity;
} ByteQueue;

void byte_queue_done(ByteQueue *queue);
int byte_queue_add(ByteQueue *queue, const void *bytes, size_t size); /* −ENOMEM */

/* Adds `size` bytes that `fd` has ready. −ENODATA: it has not; −errno. */
int byte_queue_read(ByteQueue *queue, int fd, size_t size);

static inline size_t byte_queue_size(const ByteQueue *queue)
{
    return queue->end - queue->start;
}

/* byte_queue_size bytes, until the next change. */
static inline const uint8_t *byte_queue_data(const ByteQueue *queue)
{
    return queue->data + queue->start;
}

/* At most byte_queue_size. */
static inline void byte_queue_drop(ByteQueue *queue, size_t size)
{
    queue->start += size;
    if (queue->start == queue->end)
        queue->start = queue->end = 0;
}

/* Writes to `fd` (non-blocking) what it takes. 0: empty now; 1: the rest waits; −errno: nobody will
 * ever read it. */
int byte_queue_flush(ByteQueue *queue, int fd);

/* The same with these bytes behind what waits. */
int byte_queue_pass(ByteQueue *queue, int fd, const void *bytes, size_t size);
