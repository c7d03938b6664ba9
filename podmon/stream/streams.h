/* SPDX-License-Identifier: Apache-2.0 */
/* The streams of a pod: tokens that are out, and sessions, each served by a process of its own
 * (podmon/stream/child.h). Here is what needs privilege: starting commands, and the containers'
 * pipes. */
#pragma once

#include <stdbool.h>

#include "podmon/pod.h"

enum { STREAMS_SESSIONS_MAX = 512 };

typedef struct Streams Streams;

/* Made when first needed. */
Streams *streams_free(Streams *streams); /* accepts NULL; sessions go on, on their own */

/* `ret`: TOKEN_SIZE. RESOURCE_EXHAUSTED: too many tokens are out, or sessions open. */
int streams_prepare(Pod *pod, const Podmon__PrepareStream *request, char *ret, Failure *why);

/* Takes a client's connection, with what it has said so far. `fd` stays the caller's. NOT_FOUND:
 * the token is none, or not for this. */
int streams_take(Pod *pod, const Podmon__HandStream *request, int fd, Failure *why);

/* Can all of them be left to the program that podmon becomes? True for NULL. */
bool streams_are_steady(const Streams *streams);
size_t streams_count_commands(const Streams *streams);

/* A description of all of them, for podmon/handover.h; they stay as they are. Freed with
 * podmon__handover__free_unpacked. −ENOMEM. */
int streams_describe(const Pod *pod, Podmon__Handover **ret);

/* Takes up what pod->handover has, which is NULL from then on. The containers must be there. */
void streams_resume(Pod *pod);

/* The pod stops: ports are no longer forwarded. */
void streams_stop(Pod *pod);

/* The stdin of a container has been closed for good: those who write to it are told. */
void streams_close_input(Pod *pod, const char *container_id);

/* Has this child of podmon's to be waited for by a session? */
bool streams_own(const Streams *streams, pid_t pid);
