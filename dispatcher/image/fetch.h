/* SPDX-License-Identifier: Apache-2.0 */
/* One document or blob of a repository, from whichever endpoint gives it: login, redirects, going
 * on after a cut, trying again later, and the next endpoint when one does not deliver. */
#pragma once

#include "dispatcher/image/endpoint.h"
#include "dispatcher/image/http.h"

/* Borrowed until the fetch is freed. */
typedef struct FetchPlan {
    HttpClient *client;
    Endpoints *endpoints;
    const char *path;   /* "manifests/latest", "blobs/sha256:…" */
    const char *accept; /* NULL: anything */
    const char *what;   /* for people: "the manifest", "blob sha256:…" */
    uint64_t size;      /* it must have, or FETCH_SIZE_UNKNOWN */
    uint64_t limit;     /* it may have */
    uint64_t from, end; /* of a blob of that size, only these bytes; end 0: to its end */
    size_t endpoint;    /* who is asked first */
    bool once;          /* nobody after that, and nothing again */
    uint64_t stall_timeout;

    /* The next bytes; at offset 0 it begins (again). −errno with `why` ends the fetch. */
    int (*take)(void *data, uint64_t offset, const void *bytes, size_t size, Failure *why);
    /* All that was wanted was taken, and is of this media type ("": not said): −errno with `why`
     * when it is not what it should be, and the next endpoint is asked. */
    int (*check)(void *data, const char *content_type, Failure *why);
    void *data;
} FetchPlan;

#define FETCH_SIZE_UNKNOWN UINT64_MAX

typedef struct Fetch Fetch;

int fetch_start(const FetchPlan *plan, Fetch **ret, Failure *why);
Fetch *fetch_free(Fetch *fetch);

/* To be called after each http_client_wait, and at fetch_deadline (clock_monotonic; UINT64_MAX:
 * none). 0: under way; 1: all of it was taken and is right; −errno. Logging in may take a while. */
int fetch_step(Fetch *fetch, Failure *why);
uint64_t fetch_deadline(const Fetch *fetch);

/* Ends before `end`, which is before the end so far. */
void fetch_shorten(Fetch *fetch, uint64_t end);

/* Who is being asked. */
size_t fetch_endpoint(const Fetch *fetch);

/* Start, steps to the end. Waits. */
int fetch_run(const FetchPlan *plan, Failure *why);
