/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/stream/conduit.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void conduit_done(Conduit *conduit)
{
    if (conduit->is_open)
        for (int i = 0; i < 2; i++)
            (void)close(conduit->fds[i]);
    *conduit = (Conduit){0};
}

static int open_pipe(Conduit *conduit)
{
    if (pipe2(conduit->fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    conduit->is_open = true;
    (void)fcntl(conduit->fds[0], F_SETPIPE_SZ, CONDUIT_SIZE);
    return 0;
}

ssize_t conduit_take(Conduit *conduit, int fd, size_t size)
{
    ssize_t taken;
    int r = conduit->is_open ? 0 : open_pipe(conduit);

    if (r < 0)
        return r;
    do
        taken = splice(fd, NULL, conduit->fds[1], NULL, size, SPLICE_F_NONBLOCK);
    while (taken < 0 && errno == EINTR);
    if (taken < 0)
        return -errno;
    conduit->size += (size_t)taken;
    return taken;
}

int conduit_flush(Conduit *conduit, int fd)
{
    while (conduit->size > 0) {
        ssize_t moved = splice(conduit->fds[0], NULL, fd, NULL, conduit->size, SPLICE_F_NONBLOCK);

        if (moved < 0 && errno == EINTR)
            continue;
        if (moved <= 0)
            return moved == 0 || errno == EAGAIN ? 1 : -errno;
        conduit->size -= (size_t)moved;
    }
    return 0;
}

ssize_t conduit_read(Conduit *conduit, void *ret)
{
    ssize_t size = read(conduit->fds[0], ret, conduit->size); /* It is whole: nobody waits. */

    if (size < 0)
        return -errno;
    conduit->size -= (size_t)size;
    return size;
}

int conduit_drain(Conduit *conduit, ByteQueue *queue)
{
    int r = conduit->size > 0 ? byte_queue_read(queue, conduit->fds[0], conduit->size) : 0;

    if (r == 0)
        conduit->size = 0;
    return r;
}
