/* SPDX-License-Identifier: Apache-2.0 */
/* A big blob from its registry into a file, as several ranges at a time where that helps, and going
 * on where an earlier download was cut. Whoever feeds on it sees its bytes from the first on, in
 * their order, while they come. */
#pragma once

#include <stdbool.h>

#include "dispatcher/image/commit.h"
#include "dispatcher/image/endpoint.h"
#include "dispatcher/image/http.h"
#include "dispatcher/image/manifest.h"

/* Borrowed until the end. The commit has claimed the blob. */
typedef struct BlobFetchPlan {
    HttpClient *client;
    Endpoints *endpoints;
    ImageCommit *commit;
    const ImageDescriptor *blob;
    uint64_t stall_timeout;

    /* What has come so far was wrong; the bytes begin again. −errno with `why` ends the fetch. */
    int (*begin_again)(void *data, Failure *why);
    void *data;
} BlobFetchPlan;

typedef struct BlobFetch BlobFetch;

int blob_fetch_start(const BlobFetchPlan *plan, BlobFetch **ret, Failure *why);

/* A fetch before its end leaves its bytes for the next one, if they are many and not wrong. */
BlobFetch *blob_fetch_free(BlobFetch *fetch);

/* After each http_client_wait, and at blob_fetch_deadline (clock_monotonic; 0: at once). 0: under
 * way; 1: the commit has the blob; −errno. */
int blob_fetch_step(BlobFetch *fetch, Failure *why);
uint64_t blob_fetch_deadline(const BlobFetch *fetch);

/* So many bytes are there from the first on, to be read from blob_fetch_fd; all that came. */
uint64_t blob_fetch_whole(const BlobFetch *fetch);
uint64_t blob_fetch_got(const BlobFetch *fetch);
int blob_fetch_fd(const BlobFetch *fetch);

/* Requests under way, and one more for half of what the slowest has before it, if that is much: 1:
 * begun; 0: it would not help. */
size_t blob_fetch_requests(const BlobFetch *fetch);
int blob_fetch_split(BlobFetch *fetch, Failure *why);
