/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a podmon still answers. From time to time it is asked nothing at all, which a podmon of
 * every version answers at once; one that hangs (stopped, in an endless loop, deadlocked) does not.
 * That is told, and when it has lasted too long the podmon gets SIGABRT, which makes it begin anew
 * in its own process (podmon/crash.h): containers do not notice. */
#pragma once

#include <stdint.h>

#include "shared/event.h"

typedef struct Pulse Pulse;

/* `podmon_fd`: a pidfd, the caller's; it, `loop` and `run_dir` must outlive the pulse. `patience`:
 * nanoseconds without an answer until the podmon has to begin anew, asked six times as often;
 * silence is told after a sixth of it. −ENOMEM, −errno. */
int pulse_new(EventLoop *loop, const char *run_dir, const char *pod_id, int podmon_fd,
              uint64_t patience, Pulse **ret);
Pulse *pulse_free(Pulse *pulse); /* accepts NULL */

/* Nanoseconds since the first question without an answer; 0: it answers, as far as is known. */
uint64_t pulse_silence(const Pulse *pulse);
