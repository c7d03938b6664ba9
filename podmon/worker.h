/* SPDX-License-Identifier: Apache-2.0 */
/* A job that may block, hang or crash: done in a forked child, which answers with bytes or a
 * Failure. The pod's loop goes on; at the deadline the child and all it started are killed. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "shared/event.h"
#include "shared/failure.h"
#include "shared/text.h"

enum { WORKER_OUTPUT_MAX = 1024 * 1024 };

typedef struct Worker Worker;

/* In the child: signals default and unblocked, its own process group, every descriptor but 0, 1, 2
 * of podmon's still open (close-on-exec). 0 with `output` filled, or −errno with `why`. */
typedef int (*WorkerRun)(void *data, Text *output, Failure *why);

/* Once: `output` (terminated, `size` without the NUL) on success, else `why`. The worker is gone
 * when this is called. */
typedef void (*WorkerDone)(void *data, const char *output, size_t size, const Failure *why);

/* `run_data` need only live until this returns: the child has its own copy. */
int worker_start(EventLoop *loop, WorkerRun run, void *run_data, uint64_t deadline, WorkerDone done,
                 void *data, Worker **ret, Failure *why);

/* Kills it; done is not called. Returns NULL; accepts NULL. */
Worker *worker_free(Worker *worker);
