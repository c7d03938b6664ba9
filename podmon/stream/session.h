/* SPDX-License-Identifier: Apache-2.0 */
/* podmon's side of one session: its process, and what that process works with. */
#pragma once

#include "podmon/pod.h"
#include "podmon/stream/control.h"

typedef struct Session Session;

/* Called from the loop: the session is gone. */
typedef void (*SessionEnded)(void *data, Session *session);

/* Takes `request` over on success. */
int session_start(Pod *pod, Podmon__PrepareStream *request, int client_fd, const void *bytes,
                  size_t size, SessionEnded ended, void *data, Session **ret, Failure *why);

/* Could it be left to another podmon now? Not while its command begins or is being cleared away. */
bool session_is_steady(const Session *session);
bool session_has_command(const Session *session);

/* What that one needs; points into the session, which keeps what it has. */
void session_describe(const Session *session, Podmon__CarriedSession *ret);

/* Takes a session over from the program that this process was before, with its descriptors, also on
 * failure. The containers must be there. */
int session_adopt(Pod *pod, const Podmon__CarriedSession *carried, SessionEnded ended, void *data,
                  Session **ret);

/* Forgets it: whatever it serves goes on, on its own. Returns NULL. */
Session *session_free(Session *session);

/* No more ports; nothing for others, which end with their container. */
void session_quit(Session *session);

/* The container's stdin has been closed for good. */
void session_close_input(Session *session, const char *container_id);

bool session_owns(const Session *session, pid_t pid);
