/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "dispatcher/image/json.h"
#include "dispatcher/image/token.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/text.h"

enum {
    TRIES_MAX = 5,        /* without progress, at the registry itself */
    MIRROR_TRIES_MAX = 2, /* there is somebody else to ask */
    REDIRECTS_MAX = 10,
    LOGINS_MAX = 2, /* a token may have run out between two tries */
    WAIT_MS = 500,
};

#define PROGRESS_BYTES UINT64_C(65536) /* that make a cut a new one */
#define BACKOFF_FIRST (250 * CLOCK_MILLISECOND)
#define BACKOFF_MOST (8 * CLOCK_SECOND)
#define RETRY_AFTER_MOST 30 /* seconds */

struct Fetch {
    FetchPlan plan;
    size_t at; /* endpoint */
    Http *http;
    char *url;                   /* of the request under way */
    bool is_elsewhere;           /* it was redirected to another host */
    uint64_t next_try;           /* no request under way: when the next begins */
    uint64_t got, mark;          /* bytes taken; when the tries were last counted from 0 */
    uint64_t skip;               /* of the coming bytes, which are known */
    bool body_began, ends_early; /* all that is wanted is here, and more comes */
    unsigned int tries, redirects, logins;
    Failure failure; /* by take, or of the last try */
    Failure earlier; /* of the endpoints before */
};

static Endpoint *endpoint_of(const Fetch *fetch)
{
    return &fetch->plan.endpoints->list[fetch->at];
}

/* ---- a try ---- */

/* The byte behind the last one wanted. */
static uint64_t end_of(const Fetch *fetch)
{
    return fetch->plan.end ? fetch->plan.end : fetch->plan.size;
}

/* The bytes that are new, of those that came. */
static int take_new(Fetch *fetch, const void *bytes, size_t size)
{
    uint64_t most = fetch->plan.size != FETCH_SIZE_UNKNOWN ? fetch->plan.size : fetch->plan.limit;
    int r;

    if (fetch->plan.end && fetch->plan.end < fetch->plan.size &&
        size > fetch->plan.end - fetch->got) {
        size = (size_t)(fetch->plan.end - fetch->got);
        fetch->ends_early = true;
    }
    if (size > most - fetch->got)
        return failure_say(&fetch->failure, FAILURE_FAILED_PRECONDITION,
                           "has more than the %" PRIu64 " bytes it %s", most,
                           most == fetch->plan.size ? "should have" : "may have");
    r = fetch->plan.take(fetch->plan.data, fetch->got, bytes, size, &fetch->failure);
    if (r < 0)
        return r;
    fetch->got += size;
    return fetch->ends_early ? -ECANCELED : 0;
}

static int take_bytes(void *data, const Http *http, const void *bytes, size_t size)
{
    Fetch *fetch = data;
    const HttpAnswer *answer = http_answer(http);
    uint64_t most = fetch->plan.size != FETCH_SIZE_UNKNOWN ? fetch->plan.size : fetch->plan.limit;

    if (!fetch->body_began) {
        fetch->body_began = true;
        /* A server that does not know ranges sends all again. */
        fetch->skip = answer->status == 200 ? fetch->got : 0;
        if (answer->status == 200 && fetch->plan.once && fetch->got > 0)
            return failure_say(&fetch->failure, FAILURE_UNAVAILABLE, "sends no ranges");
        if (answer->status == 206 && answer->range_start != fetch->got)
            return failure_say(&fetch->failure, FAILURE_UNAVAILABLE,
                               "sends from byte %" PRIu64 " on in place of %" PRIu64,
                               answer->range_start, fetch->got);
        if (answer->status == 200 && answer->whole_size > most)
            return failure_say(&fetch->failure, FAILURE_FAILED_PRECONDITION,
                               "has %" PRIu64 " bytes, %s %" PRIu64, answer->whole_size,
                               most == fetch->plan.size ? "it should have" : "the limit is", most);
    }
    if (size <= fetch->skip) {
        fetch->skip -= size;
        return 0;
    }
    bytes = (const char *)bytes + fetch->skip;
    size -= fetch->skip;
    fetch->skip = 0;
    return take_new(fetch, bytes, size);
}

static int begin_try(Fetch *fetch, Failure *why)
{
    const Endpoint *endpoint = endpoint_of(fetch);
    HttpRequest request = {
        .accept = fetch->plan.accept,
        .authorization = fetch->is_elsewhere ? NULL : endpoint->authorization,
        .config = endpoint->config,
        .with_headers = !fetch->is_elsewhere,
        .from = fetch->got,
        .end = fetch->plan.end,
        .stall_timeout = fetch->plan.stall_timeout,
        .take = take_bytes,
        .data = fetch,
    };
    int r;

    if (!fetch->url &&
        asprintf(&fetch->url, "%s/%s%s", endpoint->base, fetch->plan.path, endpoint->query) < 0) {
        fetch->url = NULL;
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot ask a registry");
    }
    request.url = fetch->url;
    fetch->body_began = fetch->ends_early = false;
    fetch->failure = (Failure){0};
    r = http_start(fetch->plan.client, &request, &fetch->http);
    return r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot ask a registry") : 0;
}

/* Back to the address that the registry's API has. */
static void forget_redirect(Fetch *fetch)
{
    free(TAKE(fetch->url));
    fetch->is_elsewhere = false;
    fetch->redirects = 0;
}

/* ---- judging a try ---- */

/* What the endpoint did, as people are told: without what an address has behind its path, which may
 * be a secret. */
static void name_endpoint(const Fetch *fetch, Failure *failure)
{
    const char *url = fetch->url ? fetch->url : endpoint_of(fetch)->base;

    failure_prefix(failure, "%.*s", (int)(strcspn(url, "?#") < 400 ? strcspn(url, "?#") : 400),
                   url);
}

/* From the first endpoint's failure to the last's. */
static int give_up_endpoint(Fetch *fetch, Failure *why)
{
    name_endpoint(fetch, &fetch->failure);
    if (fetch->at + 1 < fetch->plan.endpoints->count && !fetch->plan.once) {
        fetch->earlier = fetch->failure;
        fetch->at++;
        fetch->tries = fetch->logins = 0;
        forget_redirect(fetch);
        fetch->next_try = 0;
        return 0;
    }
    if (fetch->earlier.code == FAILURE_NONE)
        (void)failure_say(why, fetch->failure.code, "%s", fetch->failure.text);
    else
        (void)failure_say(why, fetch->failure.code, "%s (and %.400s)", fetch->failure.text,
                          fetch->earlier.text);
    return fetch->failure.code == FAILURE_NOT_FOUND ? -ENOENT : -EIO;
}

static int try_later(Fetch *fetch, uint64_t retry_after, Failure *why)
{
    unsigned int most = endpoint_of(fetch)->is_mirror ? MIRROR_TRIES_MAX : TRIES_MAX;
    uint64_t pause = BACKOFF_FIRST, random = 0;

    if (fetch->got >= fetch->mark + PROGRESS_BYTES) {
        fetch->mark = fetch->got;
        fetch->tries = 0;
    }
    if (++fetch->tries >= most || fetch->plan.once)
        return give_up_endpoint(fetch, why);
    for (unsigned int i = 1; i < fetch->tries && pause < BACKOFF_MOST; i++)
        pause *= 2;
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
        random = clock_monotonic();
    pause = pause / 2 + random % pause;
    if (retry_after > 0)
        pause += (retry_after < RETRY_AFTER_MOST ? retry_after : RETRY_AFTER_MOST) * CLOCK_SECOND;
    forget_redirect(fetch);
    fetch->next_try = clock_monotonic() + pause;
    return 0;
}

/* Scheme, host and port; malloc'ed by curl. */
static char *origin_of(CURLU *url)
{
    char *path = NULL;

    if (curl_url_set(url, CURLUPART_PATH, "/", 0) != CURLUE_OK ||
        curl_url_set(url, CURLUPART_QUERY, NULL, 0) != CURLUE_OK ||
        curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_URL, &path, CURLU_DEFAULT_PORT) != CURLUE_OK)
        return NULL;
    return path;
}

/* *ret is the address that `location` means at `url`. −EINVAL: none of HTTP's. */
static int resolve(const char *url, const char *location, char **ret, bool *ret_is_elsewhere)
{
    CURLU *handle = curl_url();
    char *whole = NULL, *from = NULL, *to = NULL;
    int r = -EINVAL;

    if (handle && curl_url_set(handle, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_set(handle, CURLUPART_URL, location, 0) == CURLUE_OK &&
        curl_url_get(handle, CURLUPART_URL, &whole, 0) == CURLUE_OK &&
        (text_starts_with(whole, "https://") || text_starts_with(whole, "http://")) &&
        (to = origin_of(handle)) && curl_url_set(handle, CURLUPART_URL, url, 0) == CURLUE_OK &&
        (from = origin_of(handle)) && (*ret = strdup(whole))) {
        *ret_is_elsewhere = strcmp(from, to) != 0;
        r = 0;
    }
    curl_free(whole);
    curl_free(from);
    curl_free(to);
    curl_url_cleanup(handle);
    return r;
}

static int follow(Fetch *fetch, const char *location, Failure *why)
{
    bool is_elsewhere = false;
    char *url = NULL;

    if (++fetch->redirects > REDIRECTS_MAX)
        (void)failure_say(&fetch->failure, FAILURE_UNAVAILABLE, "redirects more than %d times",
                          REDIRECTS_MAX);
    else if (resolve(fetch->url, location, &url, &is_elsewhere) < 0)
        (void)failure_say(&fetch->failure, FAILURE_UNAVAILABLE,
                          "redirects to what is no address of HTTP");
    else if (text_starts_with(fetch->url, "https://") && !text_starts_with(url, "https://"))
        (void)failure_say(&fetch->failure, FAILURE_PERMISSION_DENIED,
                          "redirects from https to http");
    if (fetch->failure.code != FAILURE_NONE) {
        free(url);
        return give_up_endpoint(fetch, why);
    }
    free(fetch->url);
    fetch->url = url;
    fetch->is_elsewhere = fetch->is_elsewhere || is_elsewhere;
    fetch->next_try = 0;
    return 0;
}

static int log_in(Fetch *fetch, const HttpAnswer *answer, Failure *why)
{
    int r;

    if (fetch->is_elsewhere)
        (void)failure_say(&fetch->failure, FAILURE_PERMISSION_DENIED,
                          "wants a login after a redirect");
    else if (++fetch->logins > LOGINS_MAX)
        (void)failure_say(&fetch->failure, FAILURE_PERMISSION_DENIED, "refuses the login");
    else {
        r = token_obtain(fetch->plan.client, endpoint_of(fetch), answer, fetch->plan.stall_timeout,
                         &fetch->failure);
        if (r == 0) {
            fetch->next_try = 0;
            return 0;
        }
    }
    return give_up_endpoint(fetch, why);
}

/* "404: manifest unknown", from the registry's JSON where it is one. */
static void explain_status(Fetch *fetch, const HttpAnswer *answer)
{
    FailureCode code = answer->status == 404 || answer->status == 410   ? FAILURE_NOT_FOUND
                       : answer->status == 401 || answer->status == 403 ? FAILURE_PERMISSION_DENIED
                       : answer->status >= 500 || answer->status == 429
                           ? FAILURE_UNAVAILABLE
                           : FAILURE_FAILED_PRECONDITION;
    CLEANUP(json_cleanup) cJSON *json = NULL;
    const cJSON *errors = NULL, *first;
    const char *message = NULL;

    if (json_parse("", answer->text, strlen(answer->text), HTTP_ERROR_TEXT_MAX, &json, NULL) == 0 &&
        cJSON_IsObject(json) && json_get_array(json, "errors", &errors, NULL) == 1) {
        first = cJSON_GetArrayItem(errors, 0);
        if (cJSON_IsObject(first))
            (void)json_get_string(first, "message", &message, NULL);
    }
    (void)failure_say(&fetch->failure, code, "status %d%s%.200s", answer->status,
                      message ? ": " : "", message ? message : "");
}

static int conclude(Fetch *fetch, const HttpAnswer *answer, Failure *why)
{
    if (fetch->plan.check(fetch->plan.data, answer->content_type, &fetch->failure) == 0)
        return 1;
    fetch->got = fetch->mark = fetch->plan.from;
    return give_up_endpoint(fetch, why);
}

static int judge_answer(Fetch *fetch, const HttpAnswer *answer, Failure *why)
{
    int status = answer->status;

    if (status == 200 || status == 206) {
        if (fetch->plan.size == FETCH_SIZE_UNKNOWN || fetch->got == end_of(fetch))
            return conclude(fetch, answer, why);
        (void)failure_say(&fetch->failure, FAILURE_UNAVAILABLE,
                          "ends after %" PRIu64 " of %" PRIu64 " bytes", fetch->got, end_of(fetch));
        return try_later(fetch, 0, why);
    }
    if (status == 301 || status == 302 || status == 303 || status == 307 || status == 308)
        return follow(fetch, answer->location, why);
    if (status == 401)
        return log_in(fetch, answer, why);
    explain_status(fetch, answer);
    if (status == 408 || status == 416 || status == 429 || (status >= 500 && status != 501)) {
        if (status == 416)
            fetch->got = fetch->plan.from;
        return try_later(fetch, answer->retry_after, why);
    }
    return give_up_endpoint(fetch, why);
}

static int judge(Fetch *fetch, Failure *why)
{
    const HttpAnswer *answer = http_answer(fetch->http);
    const char *text;

    switch (http_result(fetch->http, &text)) {
    case HTTP_REFUSED:
        if (fetch->ends_early)
            return conclude(fetch, answer, why);
        /* A full disk does not get emptier at another endpoint. */
        if (fetch->failure.code == FAILURE_RESOURCE_EXHAUSTED ||
            fetch->failure.code == FAILURE_INTERNAL) {
            *why = fetch->failure;
            return -EIO;
        }
        return give_up_endpoint(fetch, why);
    case HTTP_STALLED:
        (void)failure_say(&fetch->failure, FAILURE_UNAVAILABLE,
                          "sends less than %d bytes in %" PRIu64 " ms (after %" PRIu64 " bytes)",
                          HTTP_PROGRESS_LEAST, fetch->plan.stall_timeout / CLOCK_MILLISECOND,
                          fetch->got);
        /* Five times so long would be no answer in time. */
        if (fetch->got < fetch->mark + PROGRESS_BYTES)
            return give_up_endpoint(fetch, why);
        return try_later(fetch, 0, why);
    case HTTP_INSECURE:
        (void)failure_say(&fetch->failure, FAILURE_UNAVAILABLE, "%s", text);
        return give_up_endpoint(fetch, why);
    case HTTP_FAILED:
        (void)failure_say(&fetch->failure, FAILURE_UNAVAILABLE, "%s (after %" PRIu64 " bytes)",
                          text, fetch->got);
        return try_later(fetch, 0, why);
    case HTTP_ANSWERED:
        break;
    }
    return judge_answer(fetch, answer, why);
}

/* ---- all of it ---- */

int fetch_start(const FetchPlan *plan, Fetch **ret, Failure *why)
{
    Fetch *fetch = calloc(1, sizeof(*fetch));

    if (!fetch)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot ask a registry");
    fetch->plan = *plan;
    fetch->at = plan->endpoint;
    fetch->got = fetch->mark = plan->from;
    *ret = fetch;
    return 0;
}

void fetch_shorten(Fetch *fetch, uint64_t end)
{
    fetch->plan.end = end;
}

size_t fetch_endpoint(const Fetch *fetch)
{
    return fetch->at;
}

Fetch *fetch_free(Fetch *fetch)
{
    if (fetch) {
        http_free(fetch->http);
        free(fetch->url);
        free(fetch);
    }
    return NULL;
}

int fetch_step(Fetch *fetch, Failure *why)
{
    int r;

    if (!fetch->http)
        return clock_monotonic() < fetch->next_try ? 0 : begin_try(fetch, why);
    if (!http_is_done(fetch->http))
        return 0;
    r = judge(fetch, why);
    fetch->http = http_free(fetch->http);
    if (r < 0)
        failure_prefix(why, "%s", fetch->plan.what);
    return r;
}

uint64_t fetch_deadline(const Fetch *fetch)
{
    return fetch->http ? UINT64_MAX : fetch->next_try;
}

int fetch_run(const FetchPlan *plan, Failure *why)
{
    Fetch *fetch = NULL;
    int r = fetch_start(plan, &fetch, why);

    while (r == 0 && (r = fetch_step(fetch, why)) == 0) {
        uint64_t deadline = fetch_deadline(fetch), now = clock_monotonic();
        int wait = deadline == UINT64_MAX || deadline > now + WAIT_MS * CLOCK_MILLISECOND
                       ? WAIT_MS
                       : (int)(deadline > now ? (deadline - now) / CLOCK_MILLISECOND + 1 : 0);

        if (http_client_wait(plan->client, NULL, 0, wait) < 0)
            r = failure_set(why, FAILURE_INTERNAL, EIO, "cannot wait for a registry");
    }
    fetch_free(fetch);
    return r < 0 ? r : 0;
}
