/* SPDX-License-Identifier: Apache-2.0 */
/* TLS for clients of streams. Each connection gets a process of its own (dispatcher/stream/relay.h)
 * that has its TLS, and speaks the plain bytes on a socket pair: whoever gets the other end of
 * that, the endpoint first and then a podmon, need not know. That process does not end with the
 * dispatcher. */
#pragma once

#include "shared/event.h"
#include "shared/failure.h"

typedef struct TlsServer TlsServer;

/* `certificate`: a PEM file with the server's certificate and those that vouch for it; `key`: one
 * with its private key. Both are read here and never again. FAILED_PRECONDITION: they are no good,
 * and why. */
int tls_server_new(EventLoop *loop, const char *certificate, const char *key, TlsServer **ret,
                   Failure *why);
TlsServer *tls_server_free(TlsServer *server); /* accepts NULL; connections go on */

/* Takes the connection over, also on failure. The plain end of it (non-blocking), or −errno. */
int tls_server_accept(TlsServer *server, int client_fd);
