/* SPDX-License-Identifier: Apache-2.0 */
/* One client's share of what a container writes: copies go into pipes, as long as there is room in
 * them. A client that does not keep up is let go; neither the container nor its log ever waits. */
#pragma once

#include "podmon/container.h"

enum { ATTACHMENT_PIPE_SIZE = 1024 * 1024 };

typedef struct Attachment Attachment;

/* From the loop, once: the container's output has ended, or (`failure`) the client is let go. The
 * attachment is gone. */
typedef void (*AttachmentEnded)(void *data, const char *failure);

/* *ret_out, *ret_error: what the client reads from, −1 for what the request does not want; the
 * caller's. */
int attachment_new(Container *container, const Podmon__PrepareStream *request,
                   AttachmentEnded ended, void *data, int *ret_out, int *ret_error,
                   Attachment **ret, Failure *why);

/* The same with pipes that are there already, of an earlier program in this process: what is
 * written into. Takes them over, also on failure; −ENOMEM. */
int attachment_adopt(Container *container, int output_fd, int error_fd, AttachmentEnded ended,
                     void *data, Attachment **ret);

/* Those pipes; they stay the attachment's. */
void attachment_describe(const Attachment *attachment, int *ret_output, int *ret_error);

Attachment *attachment_free(Attachment *attachment); /* accepts NULL; nobody is told */
