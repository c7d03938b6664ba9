/* SPDX-License-Identifier: Apache-2.0 */
/* The socket that clients connect to: systemd's, or one of our own. */
#pragma once

#include <stddef.h>

#include "shared/failure.h"

/* Listening stream sockets handed over by systemd (sd_listen_fds(3)), close-on-exec and
 * non-blocking, the caller's from then on. Returns how many, 0 without; anything else that was
 * handed over is an error. The environment forgets them. */
int socket_inherit(int *fds, size_t fds_max, Failure *why);

/* A listening socket at `path`, mode 0600; missing directories are made, mode 0700. A socket that
 * nobody answers on is replaced; FAILED_PRECONDITION if somebody does, or if something else is in
 * the way. fd or −errno. */
int socket_listen(const char *path, Failure *why);
