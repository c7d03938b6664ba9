/* SPDX-License-Identifier: Apache-2.0 */
/* File descriptors: whole reads and writes, pidfds, and what libc does not wrap. Every descriptor
 * made here is close-on-exec. */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Closes *fd if it is ≥ 0 and sets it to −1. errno is kept. */
void fd_close(int *fd);

/* Writes all of it; EINTR and short writes are continued. −errno on failure; how much had been
 * written by then is unknown. */
int fd_write_all(int fd, const void *data, size_t size);

/* Reads until end of file or `size` bytes. Returns the count or −errno. */
ssize_t fd_read_all(int fd, void *data, size_t size);

int fd_set_nonblocking(int fd, bool nonblocking);

/* pidfd_open(2), Linux 5.3. Returns the descriptor or −errno (−ESRCH: no such process). */
int fd_open_pid(pid_t pid);

/* pidfd_send_signal(2), Linux 5.1. 0, or −ESRCH when the process has been reaped. */
int fd_signal(int pidfd, int signal);

/* A memfd with the data in it, sealed against every change (memfd_create(2)), or −errno. */
int fd_sealed_memory(const char *name, const void *data, size_t size);

/* A signalfd for the set, which is blocked in the calling process, or −errno. */
int fd_open_signals(const sigset_t *set);
