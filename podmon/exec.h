/* SPDX-License-Identifier: Apache-2.0 */
/* ExecSync: a command in a running container, its output and its exit status. */
#pragma once

#include "podmon/container.h"

enum {
    /* Of both streams together: the reply, as a message of at most 16 MiB, has to pass through
     * every client's limit. What exceeds it is read and thrown away, so that the command goes on.
     */
    EXEC_OUTPUT_MAX = 16 * 1024 * 1024 - 64 * 1024,
};

/* Answers the call when the command has ended and its output is read, or when it did not start.
 * After the request's timeout, or when the client is gone, everything that the command has started
 * is killed; the answer is DEADLINE_EXCEEDED. */
void exec_start(Container *container, const Podmon__ExecSync *request, Call *call);
