/* SPDX-License-Identifier: Apache-2.0 */
/* Who a process is: its number and when it began. The two together never name another one. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* Field 22 of /proc/PID/stat, clock ticks since boot; −ESRCH: no such process. */
int process_read_start(pid_t pid, uint64_t *ret);

/* How a process has ended that nobody has reaped yet, as waitpid(2) would tell. −EAGAIN: it runs.
 */
int process_read_status(pid_t pid, int *ret);

/* Opens a pidfd for exactly this process. −ESRCH if the number is another's by now. */
int process_open(pid_t pid, uint64_t start_time);
