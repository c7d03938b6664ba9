/* SPDX-License-Identifier: Apache-2.0 */
/* The process that has one TLS connection: plain bytes on one side, TLS on the other, and an end of
 * either passed on to the other as what it is. Runs as nobody, with nothing but the two sockets and
 * some thirty system calls. It ends with the connection; whoever holds the plain end bounds how
 * long that may take. */
#pragma once

#include <openssl/types.h>

/* To be called in a new process, which it becomes. */
_Noreturn void relay_main(SSL_CTX *context, int client_fd, int plain_fd);
