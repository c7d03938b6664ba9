/* SPDX-License-Identifier: Apache-2.0 */
/* Answering a registry's challenge: basic, or a token from the place it names, fetched by name and
 * password, by an identity token, or by nobody in particular. */
#pragma once

#include "dispatcher/image/endpoint.h"
#include "dispatcher/image/http.h"

/* Sets endpoint->authorization by what the 401 says. −EPERM: nothing that has not been tried, or
 * the token's server refuses. Waits, other requests of the client go on meanwhile. */
int token_obtain(HttpClient *client, Endpoint *endpoint, const HttpAnswer *answer,
                 uint64_t stall_timeout, Failure *why);
