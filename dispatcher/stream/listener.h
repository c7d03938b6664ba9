/* SPDX-License-Identifier: Apache-2.0 */
/* The TCP socket of the endpoint, and its number from one dispatcher to the next. */
#pragma once

#include <stdint.h>

#include "shared/failure.h"

#define LISTENER_PORT_FILE "stream.port" /* in RUN */

/* `address`: of IPv4 or IPv6. `scheme`: "http" or "https", for the URL. Port 0: see
 * stream_endpoint_new. Writes the URL up to its path to `ret_url`, ENDPOINT_URL_MAX bytes. fd
 * (non-blocking) or −errno. */
int listener_open(const char *address, uint16_t port, const char *scheme, const char *run_dir,
                  char *ret_url, Failure *why);
