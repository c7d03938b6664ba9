/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/2 trailers, and what else gRPC needs that h2o 2.2.5 has no function for. trailers.c is the
 * only file that knows h2o's internal structures; it asserts their layout when it is compiled.
 *
 * All of it belongs to a request whose response, if it has begun, is sent in pieces with
 * H2O_SEND_STATE_IN_PROGRESS. FINAL and ERROR must never be used with these. */
#pragma once

#include <h2o.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/failure.h"

/* Ends the response with trailers; nothing may be pending. `text` is a grpc-message as it goes on
 * the wire. Nothing happens if the client has reset the stream meanwhile. */
void trailers_write(h2o_req_t *request, FailureCode code, const char *text, size_t size);

/* Sends the response headers (h2o_start_response has been called) as the whole response. */
void trailers_write_only(h2o_req_t *request);

/* Moves what was sent last into the connection's buffer as far as flow control allows. True if
 * nothing is left, so that trailers_write may follow at once and leave in the same write. */
bool trailers_flush(h2o_req_t *request);

/* Resets the stream (CANCEL) if its data is held up by flow control. True: it was, and the
 * request is gone. */
bool trailers_abort(h2o_req_t *request);

/* Takes a request out of h2o's fixed count of 100 streams; called once when it has arrived. */
void trailers_admit(h2o_req_t *request);

/* Streams of the request's connection that were admitted and are open. */
uint32_t trailers_admitted(const h2o_req_t *request);

/* Tells the client how many streams it may open; h2o has said 100. */
void trailers_announce_limit(h2o_req_t *request, uint32_t limit);
