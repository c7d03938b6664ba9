/* SPDX-License-Identifier: Apache-2.0 */
/* The process that pulls one image for the dispatcher: podmonctl, called with WORKER_ARGUMENT. It
 * reads one order from its channel (the descriptor WORKER_CHANNEL_FD), pulls, answers, and ends. It
 * goes on when the dispatcher has died: what it brings is there for the next who asks. */
#pragma once

#define WORKER_PROGRAM "podmonctl"
#define WORKER_ARGUMENT "image-worker"

enum { WORKER_CHANNEL_FD = 3 };

/* Its main; the exit status. */
int image_worker_run(void);
