/* SPDX-License-Identifier: Apache-2.0 */
/* The pod or container that a request names, by its id or the beginning of one. Takes in what has
 * changed first, so that a client finds what it has just made. Ids of clients are looked up here
 * and nowhere become part of a path. */
#pragma once

#include "dispatcher/api/call.h"
#include "dispatcher/pods/index.h"

/* −ENOENT with NOT_FOUND: there is no such pod; other failures are INVALID_ARGUMENT: the id is
 * missing, or fits several. What is found is valid until the loop is next entered. */
int lookup_pod(CriCall *call, const char *id, const Pod **ret, Failure *why);
int lookup_container(CriCall *call, const char *id, const Pod **ret_pod,
                     const Podmon__ContainerRecord **ret, Failure *why);
