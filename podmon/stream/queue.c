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

static int reserve(ByteQueue *queue, size_t size)
{
    size_t waiting = byte_queue_size(queue);

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
    return 0;
}

int byte_queue_add(ByteQueue *queue, const void *bytes, size_t size)
{
    if (size == 0)
        return 0;
    if (reserve(queue, size) < 0)
        return -ENOMEM;
    memcpy(queue->data + queue->end, bytes, size);
    queue->end += size;
    return 0;
}

int byte_queue_read(ByteQueue *queue, int fd, size_t size)
{
    if (size > 0 && reserve(queue, size) < 0)
        return -ENOMEM;
    while (size > 0) {
        ssize_t got = read(fd, queue->data + queue->end, size);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 && errno != EAGAIN ? -errno : -ENODATA;
        queue->end += (size_t)got;
        size -= (size_t)got;
    }
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

int byte_queue_pass(ByteQueue *queue, int fd, const void *bytes, size_t size)
{
    int r = byte_queue_flush(queue, fd);

    while (r == 0 && size > 0) {
        ssize_t written = write(fd, bytes, size);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            r = errno == EAGAIN ? 1 : -errno;
        else {
            bytes = (const uint8_t *)bytes + written;
            size -= (size_t)written;
        }
    }
    if (r == 1 && byte_queue_add(queue, bytes, size) < 0)
        return -ENOMEM;
    return r;
}
