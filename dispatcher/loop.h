/* SPDX-License-Identifier: Apache-2.0 */
/* The dispatcher's one loop: h2o's, with our EventLoop carried inside it as one readable
 * descriptor. */
#pragma once

#include <stdbool.h>

#include "shared/event.h"

typedef struct Loop Loop;

/* Blocks SIGTERM and SIGINT in the process: they come to loop_run. */
int loop_new(Loop **ret);
Loop *loop_free(Loop *loop); /* accepts NULL */
struct st_h2o_evloop_t *loop_h2o(Loop *loop);
EventLoop *loop_events(Loop *loop);

/* Runs until loop_stop; SIGTERM and SIGINT call `on_terminate` (deferred to the loop), each time.
 * 0 or −errno. */
int loop_run(Loop *loop, void (*on_terminate)(void *data), void *data);
void loop_stop(Loop *loop);
