/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/stream/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { GROWTH = 64 * 1024 };

void byte_queue_done(ByteQueue *queue)
{
    free(queue->data);
    *queue = (ByteQueue){0};
}

int byte_queue_add(ByteQueue *queue, const void *bytes, size_t size)
{
    size_t waiting = byte_queue_size(queue);

    if (size == 0)
        return 0;
    if (queue->start > 0 && queue->capacity - queue->end < size) {
        memmove(queue->data, queue->data + queue->start, waiting);
        queue->start = 0;
        queue->end = waiting;
    }
    if (queue->capacity - queue->end < size) {
        uint8_t *grown = realloc(queue->data, waiting + size + GROWTH);

        if (!grown)
            return -ENOMEM;
        queue->data = grown;
        queue->capacity = waiting + size + GROWTH;
    }
    memcpy(queue->data + queue->end, bytes, size);
    queue->end += size;
    return 0;
}

int byte_queue_flush(ByteQueue *queue, int fd)
{
    while (byte_queue_size(queue) > 0) {
        ssize_t size = write(fd, byte_queue_data(queue), byte_queue_size(queue));

        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return errno == EAGAIN ? 1 : -errno;
        byte_queue_drop(queue, (size_t)size);
    }
    return 0;
}
