/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/token.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatcher/image/challenge.h"
#include "dispatcher/image/json.h"
#include "shared/cleanup.h"
#include "shared/text.h"

enum {
    TOKEN_SIZE_MAX = 64 * 1024,
    WAIT_MS = 500,
};

typedef struct TokenBody {
    char *data; /* TOKEN_SIZE_MAX + 1 bytes */
    size_t size;
} TokenBody;

static void body_done(TokenBody *body)
{
    if (body->data)
        explicit_bzero(body->data, body->size);
    free(body->data);
}

static int take(void *data, const Http *http, const void *bytes, size_t size)
{
    TokenBody *body = data;

    (void)http;
    if (size > TOKEN_SIZE_MAX - body->size)
        return -EFBIG;
    memcpy(body->data + body->size, bytes, size);
    body->size += size;
    body->data[body->size] = 0;
    return 0;
}

static void http_cleanup(Http **http)
{
    http_free(*http);
}

static void secret_done(Text *text)
{
    if (text->data)
        explicit_bzero(text->data, text->size);
    text_done(text);
}

/* "&name=value" with the value escaped; nothing for an empty one. */
static int add_parameter(Text *text, const char *name, const char *value)
{
    char *escaped = *value ? curl_easy_escape(NULL, value, 0) : NULL;
    int r = *value ? -ENOMEM : 0;

    if (escaped) {
        r = text_print(text, "%s%s=%s", text->size ? "&" : "", name, escaped);
        explicit_bzero(escaped, strlen(escaped));
        curl_free(escaped);
    }
    return r;
}

/* The address and, with an identity token, the form to post there. */
static int make_request(const Endpoint *endpoint, const Challenge *challenge, Text *url, Text *form)
{
    const Credentials *credentials = endpoint->credentials;
    char scope[CHALLENGE_VALUE_SIZE];
    Text query = {0};
    int r;

    (void)snprintf(scope, sizeof(scope), "%s", challenge->scope);
    if (!*scope)
        (void)snprintf(scope, sizeof(scope), "repository:%.*s:pull",
                       (int)(sizeof(scope) - sizeof("repository::pull")), endpoint->repository);
    if (credentials && *credentials->identity_token) {
        if ((r = add_parameter(form, "grant_type", "refresh_token")) < 0 ||
            (r = add_parameter(form, "client_id", "podmon")) < 0 ||
            (r = add_parameter(form, "service", challenge->service)) < 0 ||
            (r = add_parameter(form, "scope", scope)) < 0 ||
            (r = add_parameter(form, "refresh_token", credentials->identity_token)) < 0)
            return r;
        return text_add(url, challenge->realm);
    }
    r = add_parameter(&query, "service", challenge->service);
    if (r == 0)
        r = add_parameter(&query, "scope", scope);
    if (r == 0)
        r = text_print(url, "%s%c%s", challenge->realm, strchr(challenge->realm, '?') ? '&' : '?',
                       query.data);
    text_done(&query);
    return r;
}

static int read_token(const TokenBody *body, char **ret, Failure *why)
{
    CLEANUP(json_cleanup) cJSON *json = NULL;
    const char *token = NULL;
    int r = json_parse("token", body->data, body->size, TOKEN_SIZE_MAX, &json, why);

    if (r < 0)
        return r;
    if (!cJSON_IsObject(json) || json_get_string(json, "token", &token, NULL) < 0 ||
        (!token && json_get_string(json, "access_token", &token, NULL) < 0) || !token || !*token ||
        !text_is_printable(token))
        return failure_say(why, FAILURE_UNAVAILABLE, "its answer has no token");
    if (asprintf(ret, "Bearer %s", token) < 0) {
        *ret = NULL;
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot keep a token");
    }
    return 0;
}

static int ask(HttpClient *client, const HttpRequest *request, TokenBody *body, char **ret,
               Failure *why)
{
    CLEANUP(http_cleanup) Http *http = NULL;
    const HttpAnswer *answer;
    const char *text;
    int r = http_start(client, request, &http);

    while (r == 0 && !http_is_done(http))
        r = http_client_wait(client, NULL, 0, WAIT_MS);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot ask for a token");
    answer = http_answer(http);
    switch (http_result(http, &text)) {
    case HTTP_ANSWERED:
        break;
    case HTTP_STALLED:
        return failure_say(why, FAILURE_UNAVAILABLE, "does not answer");
    case HTTP_REFUSED:
        return failure_say(why, FAILURE_UNAVAILABLE, "its answer is longer than %d bytes",
                           TOKEN_SIZE_MAX);
    case HTTP_FAILED:
    case HTTP_INSECURE:
        return failure_say(why, FAILURE_UNAVAILABLE, "%s", text);
    }
    if (answer->status == 400 || answer->status == 401 || answer->status == 403)
        return failure_say(why, FAILURE_PERMISSION_DENIED, "refuses the login (status %d)",
                           answer->status),
               -EPERM;
    if (answer->status != 200)
        return failure_say(why, FAILURE_UNAVAILABLE, "answers with status %d", answer->status);
    return read_token(body, ret, why);
}

static int fetch_token(HttpClient *client, Endpoint *endpoint, const Challenge *challenge,
                       uint64_t stall_timeout, Failure *why)
{
    CLEANUP(secret_done) Text form = {0};
    CLEANUP(text_done) Text url = {0};
    CLEANUP(body_done) TokenBody body = {.data = calloc(1, TOKEN_SIZE_MAX + 1)};
    const Credentials *credentials = endpoint->credentials;
    char *basic = NULL, *bearer = NULL;
    HttpRequest request = {
        .config = endpoint->config, .stall_timeout = stall_timeout, .take = take, .data = &body};
    bool is_secure = text_starts_with(challenge->realm, "https://");
    int r;

    if (!is_secure && (text_starts_with(endpoint->base, "https://") ||
                       !text_starts_with(challenge->realm, "http://")))
        return failure_say(why, FAILURE_PERMISSION_DENIED,
                           "wants the login sent to \"%.200s\", which is not secure",
                           challenge->realm),
               -EPERM;
    if (credentials && *credentials->username)
        basic = credentials_basic(credentials);
    if (!body.data || make_request(endpoint, challenge, &url, &form) < 0) {
        secret_free(basic);
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot ask for a token");
    }
    request.url = url.data;
    request.form = form.data;
    request.authorization = form.data ? NULL : basic;
    r = ask(client, &request, &body, &bearer, why);
    secret_free(basic);
    if (r < 0) {
        failure_prefix(why, "token server %.200s", challenge->realm);
        return r;
    }
    secret_free(endpoint->authorization);
    endpoint->authorization = bearer;
    return 0;
}

/* Sends what is known already, for the first time. */
static int use(Endpoint *endpoint, char *authorization, Failure *why)
{
    if (!authorization)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot log in");
    if (endpoint->authorization && strcmp(endpoint->authorization, authorization) == 0) {
        secret_free(authorization);
        return failure_say(why, FAILURE_PERMISSION_DENIED, "refuses the login"), -EPERM;
    }
    secret_free(endpoint->authorization);
    endpoint->authorization = authorization;
    return 0;
}

int token_obtain(HttpClient *client, Endpoint *endpoint, const HttpAnswer *answer,
                 uint64_t stall_timeout, Failure *why)
{
    const Credentials *credentials = endpoint->credentials;
    Challenge challenge = {0};

    for (size_t i = 0; i < answer->challenges_count; i++) {
        Challenge one;

        if (challenge_parse(answer->challenges[i], &one) == 0 && one.scheme > challenge.scheme)
            challenge = one;
    }
    if (challenge.scheme == CHALLENGE_BEARER && credentials && *credentials->registry_token) {
        char *bearer = NULL;

        if (asprintf(&bearer, "Bearer %s", credentials->registry_token) < 0)
            bearer = NULL;
        return use(endpoint, bearer, why);
    }
    if (challenge.scheme == CHALLENGE_BEARER)
        return fetch_token(client, endpoint, &challenge, stall_timeout, why);
    if (challenge.scheme == CHALLENGE_NONE)
        return failure_say(why, FAILURE_PERMISSION_DENIED,
                           "wants a login of a kind that is not known"),
               -EPERM;
    if (!credentials || !*credentials->username)
        return failure_say(why, FAILURE_PERMISSION_DENIED,
                           "wants a login, and there are no credentials for it"),
               -EPERM;
    return use(endpoint, credentials_basic(credentials), why);
}
