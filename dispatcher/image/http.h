/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP request at a time, or several side by side: libcurl's multi interface, HTTP/2 where the
 * server has it, connections kept. Knows nothing of registries: no retries, no redirects followed,
 * no login. */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dispatcher/image/registries.h"
#include "shared/failure.h"

typedef struct HttpClient HttpClient;
typedef struct Http Http;

enum {
    HTTP_PROGRESS_LEAST = 1024, /* bytes per stall timeout that count as progress */
    HTTP_ERROR_TEXT_MAX = 4096,
};

/* Borrowed until the request is freed. */
typedef struct HttpRequest {
    const char *url;
    const char *accept;           /* NULL: anything */
    const char *authorization;    /* NULL: none; secret */
    const char *form;             /* posted; NULL: GET; secret */
    const RegistryConfig *config; /* certificates, proxy; NULL: none */
    bool with_headers;            /* config's headers too, and its client certificate */
    uint64_t from, end;           /* from > 0: the body from there on; end > 0: up to there */
    uint64_t stall_timeout;       /* nanoseconds without progress */

    /* Takes the body of 200 and 206, and of nothing else. −errno ends the request. */
    int (*take)(void *data, const Http *http, const void *bytes, size_t size);
    void *data;
} HttpRequest;

/* What the server has said; "" and 0 where it has not. */
typedef struct HttpAnswer {
    int status;
    char location[4096];
    char challenges[4][2048]; /* WWW-Authenticate */
    size_t challenges_count;
    char content_type[128];
    uint64_t retry_after;           /* seconds */
    uint64_t range_start;           /* of 206 */
    uint64_t whole_size;            /* of the whole body, if told; else 0 */
    char text[HTTP_ERROR_TEXT_MAX]; /* the beginning of another body than 200's */
} HttpAnswer;

typedef enum HttpResult {
    HTTP_ANSWERED, /* whatever the status */
    HTTP_STALLED,  /* no progress for too long */
    HTTP_REFUSED,  /* take did not want it */
    HTTP_FAILED,   /* no connection, cut, not HTTP …: worth trying again */
    HTTP_INSECURE, /* the server's certificate is not good */
} HttpResult;

int http_client_new(HttpClient **ret);
HttpClient *http_client_free(HttpClient *client);

/* Begins; the request goes on in http_client_wait. */
int http_start(HttpClient *client, const HttpRequest *request, Http **ret);
Http *http_free(Http *http);

/* Lets all requests go on; waits for them, or for `more` descriptors, at most so long. 0, −errno.
 */
int http_client_wait(HttpClient *client, struct pollfd *more, size_t more_count, int timeout_ms);

bool http_is_done(const Http *http);

/* Complete when it is done; status and headers are there when the body comes. */
const HttpAnswer *http_answer(const Http *http);

/* Of a request that is done; `ret_text` says what is wrong, static or the request's. */
HttpResult http_result(const Http *http, const char **ret_text);
