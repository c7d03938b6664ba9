/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket: root's processes connect, ask once, and are answered once. */
#pragma once

#include <stddef.h>

#include "podmon.pb-c.h"
#include "shared/event.h"
#include "shared/failure.h"

enum {
    SERVER_CONNECTIONS_MAX = 1024, /* more wait in the socket's backlog */
    SERVER_IDLE_SECONDS = 10,      /* for a connection's request to arrive */
};

typedef struct Server Server;
typedef struct Call Call;

/* A whole request. It belongs to the call, which the handler, or whoever it gives the call to, has
 * to answer exactly once, whether the client is still there or not. */
typedef void (*ServerHandler)(void *data, Call *call, const Podmon__Request *request);
typedef void (*ServerFunction)(void *data);

/* `idle` is called, from the loop, when the last connection has closed. */
int server_new(EventLoop *loop, int listen_fd, ServerHandler handler, ServerFunction idle,
               void *data, Server **ret);
Server *server_free(Server *server); /* connections close without an answer */

size_t server_connections(const Server *server);

/* Each ends the call. */
void call_answer(Call *call, const Podmon__Reply *reply);
void call_answer_done(Call *call);
void call_answer_failure(Call *call, const Failure *why);

/* The descriptor that came with the request, the caller's from then on; −1: none (any more). */
int call_take_fd(Call *call);

/* Tells when the client has gone away before the answer (it is still due); NULL: no longer. */
void call_on_gone(Call *call, ServerFunction gone, void *data);

/* Calls that wait for the same thing. NULL is the empty list. */
void call_list_add(Call **list, Call *call);
/* Answers all with `why`, or with success if it is NULL; the list is empty afterwards. */
void call_list_answer(Call **list, const Failure *why);
