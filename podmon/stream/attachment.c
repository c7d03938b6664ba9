/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/stream/attachment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/fd.h"

struct Attachment {
    StdioTap *tap;
    int fds[STDIO_STREAMS]; /* −1: not wanted, or ended */
    AttachmentEnded ended;
    void *data;
};

Attachment *attachment_free(Attachment *attachment)
{
    if (!attachment)
        return NULL;
    stdio_untap(attachment->tap);
    for (int i = 0; i < STDIO_STREAMS; i++)
        fd_close(&attachment->fds[i]);
    free(attachment);
    return NULL;
}

static void end(Attachment *attachment, const char *failure)
{
    AttachmentEnded ended = attachment->ended;
    void *data = attachment->data;

    attachment_free(attachment);
    ended(data, failure);
}

static void on_output(void *data, StdioStream stream, const char *bytes, size_t size)
{
    const Attachment *attachment = data;
    int fd = attachment->fds[stream];
    ssize_t written;

    if (fd < 0)
        return;
    do
        written = write(fd, bytes, size);
    while (written < 0 && errno == EINTR);
    if (written < 0 && errno == EPIPE)
        return; /* The client's process is on its way out, and tells that itself. */
    if (written != (ssize_t)size)
        end(data, "the client is too slow");
}

static void on_stream_end(void *data, StdioStream stream)
{
    Attachment *attachment = data;

    fd_close(&attachment->fds[stream]);
}

static void on_end(void *data)
{
    Attachment *attachment = data;

    attachment->tap = NULL;
    end(attachment, NULL);
}

static const StdioTapEvents tap_events = {on_output, on_stream_end, on_end};

/* A pipe whose end for writing never blocks. */
static int open_pipe(Attachment *attachment, StdioStream stream, int *ret)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    (void)fcntl(ends[1], F_SETPIPE_SZ, ATTACHMENT_PIPE_SIZE); /* Refused: it stays smaller. */
    attachment->fds[stream] = ends[1];
    *ret = ends[0];
    return 0;
}

int attachment_new(Container *container, const Podmon__PrepareStream *request,
                   AttachmentEnded ended, void *data, int *ret_out, int *ret_error,
                   Attachment **ret, Failure *why)
{
    Attachment *attachment = calloc(1, sizeof(*attachment));
    AUTO_CLOSE int out = -1, error = -1;
    int r = attachment ? 0 : -ENOMEM;

    if (attachment)
        *attachment = (Attachment){.fds = {-1, -1}, .ended = ended, .data = data};
    if (r >= 0 && request->stdout)
        r = open_pipe(attachment, STDIO_OUT, &out);
    if (r >= 0 && request->stderr)
        r = open_pipe(attachment, STDIO_ERROR, &error);
    if (r >= 0)
        r = stdio_tap(container->stdio, &tap_events, attachment, &attachment->tap);
    if (r < 0) {
        attachment_free(attachment);
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot open its streams");
    }
    *ret_out = take_fd(&out);
    *ret_error = take_fd(&error);
    *ret = attachment;
    return 0;
}

int attachment_adopt(Container *container, int output_fd, int error_fd, AttachmentEnded ended,
                     void *data, Attachment **ret)
{
    Attachment *attachment = calloc(1, sizeof(*attachment));
    int r;

    if (!attachment) {
        fd_close(&output_fd);
        fd_close(&error_fd);
        return -ENOMEM;
    }
    *attachment = (Attachment){.fds = {output_fd, error_fd}, .ended = ended, .data = data};
    r = stdio_tap(container->stdio, &tap_events, attachment, &attachment->tap);
    if (r < 0) {
        attachment_free(attachment);
        return r;
    }
    *ret = attachment;
    return 0;
}

void attachment_describe(const Attachment *attachment, int *ret_output, int *ret_error)
{
    *ret_output = attachment->fds[STDIO_OUT];
    *ret_error = attachment->fds[STDIO_ERROR];
}
