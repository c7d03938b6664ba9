/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shared/clock.h"
#include "shared/number.h"
#include "shared/text.h"

enum {
    CONNECT_TIMEOUT_MS = 30 * 1000,
    BUFFER_SIZE = 256 * 1024,
    ERROR_BODY_MAX = 64 * 1024,
    POLL_FDS_MAX = 64,
};

struct HttpClient {
    CURLM *multi;
};

struct Http {
    HttpClient *client;
    HttpRequest request;
    CURL *easy;
    struct curl_slist *headers;
    HttpAnswer answer;
    size_t text_size, ignored; /* of another body than 200's: kept, and passed over */
    uint64_t bytes;            /* of the body so far */
    uint64_t mark_bytes, mark_time;
    bool stalled, refused, done;
    CURLcode code;
    char error[CURL_ERROR_SIZE];
};

int http_client_new(HttpClient **ret)
{
    HttpClient *client = calloc(1, sizeof(*client));

    if (!client || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(client);
        return -ENOMEM;
    }
    client->multi = curl_multi_init();
    if (!client->multi)
        return http_client_free(client), -ENOMEM;
    *ret = client;
    return 0;
}

HttpClient *http_client_free(HttpClient *client)
{
    if (client) {
        (void)curl_multi_cleanup(client->multi);
        curl_global_cleanup();
        free(client);
    }
    return NULL;
}

/* ---- what comes back ---- */

/* The value of the header `name` (with its colon) if `line` is one, without spaces around. */
static bool is_header(const char *line, size_t size, const char *name, char *ret, size_t ret_size)
{
    size_t length = strlen(name);

    if (size < length || strncasecmp(line, name, length) != 0)
        return false;
    line += length;
    size -= length;
    while (size > 0 && (*line == ' ' || *line == '\t'))
        line++, size--;
    while (size > 0 && strchr("\r\n \t", line[size - 1]))
        size--;
    if (size >= ret_size || memchr(line, 0, size))
        return false;
    memcpy(ret, line, size);
    ret[size] = 0;
    return true;
}

static void read_status(Http *http)
{
    long status = 0;

    (void)curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &status);
    http->answer = (HttpAnswer){.status = (int)status};
    http->text_size = http->ignored = 0;
}

/* "bytes 100-199/200". */
static void read_range(HttpAnswer *answer, char *value)
{
    char *dash = strchr(value, '-'), *slash = strchr(value, '/');

    if (!text_starts_with(value, "bytes ") || !dash || !slash)
        return;
    *dash = 0;
    (void)number_parse_unsigned(value + strlen("bytes "), UINT64_MAX, &answer->range_start);
    (void)number_parse_unsigned(slash + 1, UINT64_MAX, &answer->whole_size);
}

static size_t on_header(char *line, size_t one, size_t size, void *data)
{
    Http *http = data;
    HttpAnswer *answer = &http->answer;
    char value[sizeof(answer->location)];

    (void)one;
    if (size > 5 && strncmp(line, "HTTP/", 5) == 0) {
        read_status(http);
    } else if (is_header(line, size, "Location:", value, sizeof(value))) {
        (void)snprintf(answer->location, sizeof(answer->location), "%s", value);
    } else if (is_header(line, size, "Content-Type:", value, sizeof(answer->content_type))) {
        value[strcspn(value, "; ")] = 0;
        (void)snprintf(answer->content_type, sizeof(answer->content_type), "%s", value);
    } else if (is_header(line, size, "Retry-After:", value, sizeof(value))) {
        (void)number_parse_unsigned(value, UINT32_MAX, &answer->retry_after);
    } else if (is_header(line, size, "Content-Length:", value, sizeof(value))) {
        if (answer->status == 200)
            (void)number_parse_unsigned(value, UINT64_MAX, &answer->whole_size);
    } else if (is_header(line, size, "Content-Range:", value, sizeof(value))) {
        read_range(answer, value);
    } else if (is_header(line, size, "WWW-Authenticate:", value, sizeof(answer->challenges[0]))) {
        if (answer->challenges_count < sizeof(answer->challenges) / sizeof(answer->challenges[0]))
            memcpy(answer->challenges[answer->challenges_count++], value, strlen(value) + 1);
    }
    return size;
}

static size_t on_body(char *bytes, size_t one, size_t size, void *data)
{
    Http *http = data;

    (void)one;
    http->bytes += size;
    if (http->answer.status == 200 || http->answer.status == 206) {
        if (http->request.take(http->request.data, http, bytes, size) == 0)
            return size;
        http->refused = true;
        return 0;
    }
    if (http->text_size < sizeof(http->answer.text) - 1) {
        size_t room = sizeof(http->answer.text) - 1 - http->text_size;
        size_t some = size < room ? size : room;

        memcpy(http->answer.text + http->text_size, bytes, some);
        http->text_size += some;
    }
    http->ignored += size;
    return http->ignored > ERROR_BODY_MAX ? 0 : size;
}

static int on_progress(void *data, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    Http *http = data;
    uint64_t now = clock_monotonic();

    (void)down_total, (void)down, (void)up_total, (void)up;
    if (http->bytes - http->mark_bytes >= HTTP_PROGRESS_LEAST) {
        http->mark_bytes = http->bytes;
        http->mark_time = now;
    }
    http->stalled = now - http->mark_time > http->request.stall_timeout;
    return http->stalled;
}

/* ---- what goes out ---- */

static int add_header(Http *http, const char *name, const char *value)
{
    char *line = NULL;
    struct curl_slist *more;

    if (asprintf(&line, "%s%s", name, value) < 0)
        return -ENOMEM;
    more = curl_slist_append(http->headers, line);
    explicit_bzero(line, strlen(line));
    free(line);
    if (!more)
        return -ENOMEM;
    http->headers = more;
    return 0;
}

static int add_headers(Http *http)
{
    const HttpRequest *request = &http->request;
    char *const *headers =
        request->with_headers && request->config ? request->config->headers : NULL;
    int r = request->accept ? add_header(http, "Accept: ", request->accept) : 0;

    if (r == 0 && request->authorization)
        r = add_header(http, "Authorization: ", request->authorization);
    for (; r == 0 && headers && *headers; headers++)
        r = add_header(http, "", *headers);
    return r;
}

#define SET(option, value) (curl_easy_setopt(http->easy, (option), (value)) != CURLE_OK)

static int set_security(Http *http)
{
    const RegistryConfig *config = http->request.config;
    bool failed = false;

    if (!config)
        return 0;
    if (config->ca)
        failed = SET(CURLOPT_CAINFO, config->ca) || SET(CURLOPT_CAPATH, NULL);
    if (config->client_cert && http->request.with_headers)
        failed = failed || SET(CURLOPT_SSLCERT, config->client_cert);
    if (config->client_key && http->request.with_headers)
        failed = failed || SET(CURLOPT_SSLKEY, config->client_key);
    if (config->proxy)
        failed = failed || SET(CURLOPT_PROXY, config->proxy);
    return failed ? -ENOMEM : 0;
}

static int set_options(Http *http)
{
    const HttpRequest *request = &http->request;
    uint64_t stall_ms = request->stall_timeout / CLOCK_MILLISECOND;
    char range[48], end[24] = "";

    if (SET(CURLOPT_URL, request->url) || SET(CURLOPT_PROTOCOLS_STR, "http,https") ||
        SET(CURLOPT_FOLLOWLOCATION, 0L) || SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) ||
        SET(CURLOPT_NOSIGNAL, 1L) || SET(CURLOPT_USERAGENT, "podmon/" PODMON_VERSION) ||
        SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS) ||
        SET(CURLOPT_HTTPHEADER, http->headers) || SET(CURLOPT_BUFFERSIZE, (long)BUFFER_SIZE) ||
        SET(CURLOPT_ERRORBUFFER, http->error) || SET(CURLOPT_PRIVATE, http) ||
        SET(CURLOPT_HEADERFUNCTION, on_header) || SET(CURLOPT_HEADERDATA, http) ||
        SET(CURLOPT_WRITEFUNCTION, on_body) || SET(CURLOPT_WRITEDATA, http) ||
        SET(CURLOPT_XFERINFOFUNCTION, on_progress) || SET(CURLOPT_XFERINFODATA, http) ||
        SET(CURLOPT_NOPROGRESS, 0L) ||
        SET(CURLOPT_CONNECTTIMEOUT_MS,
            (long)(stall_ms < CONNECT_TIMEOUT_MS ? stall_ms : CONNECT_TIMEOUT_MS)))
        return -ENOMEM;
    if (request->form && SET(CURLOPT_COPYPOSTFIELDS, request->form))
        return -ENOMEM;
    if (request->end > 0)
        (void)snprintf(end, sizeof(end), "%llu", (unsigned long long)request->end - 1);
    (void)snprintf(range, sizeof(range), "%llu-%s", (unsigned long long)request->from, end);
    if (request->from > 0 && SET(CURLOPT_RANGE, range))
        return -ENOMEM;
    return set_security(http);
}

#undef SET

int http_start(HttpClient *client, const HttpRequest *request, Http **ret)
{
    Http *http = calloc(1, sizeof(*http));
    int r;

    if (!http)
        return -ENOMEM;
    http->request = *request;
    http->mark_time = clock_monotonic();
    http->easy = curl_easy_init();
    r = http->easy ? add_headers(http) : -ENOMEM;
    if (r == 0)
        r = set_options(http);
    if (r == 0 && curl_multi_add_handle(client->multi, http->easy) != CURLM_OK)
        r = -ENOMEM;
    if (r < 0) {
        http_free(http);
        return r;
    }
    http->client = client;
    *ret = http;
    return 0;
}

Http *http_free(Http *http)
{
    if (!http)
        return NULL;
    if (http->client)
        (void)curl_multi_remove_handle(http->client->multi, http->easy);
    curl_easy_cleanup(http->easy);
    for (struct curl_slist *at = http->headers; at; at = at->next)
        explicit_bzero(at->data, strlen(at->data));
    curl_slist_free_all(http->headers);
    free(http);
    return NULL;
}

int http_client_wait(HttpClient *client, struct pollfd *more, size_t more_count, int timeout_ms)
{
    struct curl_waitfd fds[POLL_FDS_MAX];
    int running, left;
    CURLMsg *message;

    if (more_count > POLL_FDS_MAX)
        return -EINVAL;
    for (size_t i = 0; i < more_count; i++)
        fds[i] = (struct curl_waitfd){
            .fd = more[i].fd,
            .events = (short)(((more[i].events & POLLIN) ? CURL_WAIT_POLLIN : 0) |
                              ((more[i].events & POLLOUT) ? CURL_WAIT_POLLOUT : 0))};
    if (curl_multi_poll(client->multi, fds, (unsigned int)more_count, timeout_ms, NULL) !=
            CURLM_OK ||
        curl_multi_perform(client->multi, &running) != CURLM_OK)
        return -EIO;
    while ((message = curl_multi_info_read(client->multi, &left))) {
        Http *http = NULL;

        if (message->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&http);
        http->done = true;
        http->code = message->data.result;
    }
    return 0;
}

bool http_is_done(const Http *http)
{
    return http->done;
}

const HttpAnswer *http_answer(const Http *http)
{
    return &http->answer;
}

HttpResult http_result(const Http *http, const char **ret_text)
{
    *ret_text = http->error[0] ? http->error : curl_easy_strerror(http->code);
    if (http->refused)
        return HTTP_REFUSED;
    if (http->stalled)
        return HTTP_STALLED;
    if (http->code == CURLE_OK || (http->answer.status != 200 && http->answer.status != 206 &&
                                   http->ignored > ERROR_BODY_MAX))
        return HTTP_ANSWERED;
    if (http->code == CURLE_PEER_FAILED_VERIFICATION || http->code == CURLE_SSL_CACERT_BADFILE ||
        http->code == CURLE_SSL_CERTPROBLEM)
        return HTTP_INSECURE;
    return HTTP_FAILED;
}
