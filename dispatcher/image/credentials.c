/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/credentials.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/text.h"

void secret_free(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

static int copy(const char *from, char **ret)
{
    *ret = strdup(from ? from : "");
    return *ret ? 0 : -ENOMEM;
}

/* "https://index.docker.io/v1/" is docker.io. */
static int copy_server(const char *from, char **ret)
{
    const char *scheme = from ? strstr(from, "://") : NULL;
    const char *host = scheme ? scheme + 3 : from ? from : "";
    size_t length = strcspn(host, "/");

    if (length == strlen("index.docker.io") && strncmp(host, "index.docker.io", length) == 0)
        return copy("docker.io", ret);
    *ret = strndup(host, length);
    return *ret ? 0 : -ENOMEM;
}

/* "name:password" in base64. OpenSSL's decoder wants whole groups of four and counts what they are
 * filled up with. */
static int decode_auth(const char *auth, Credentials *credentials)
{
    size_t length = strlen(auth), room = length / 4 * 3 + 8;
    char *padded = calloc(1, length + 5), *text = calloc(1, room), *colon;
    int r = padded && text ? 0 : -ENOMEM;

    if (r == 0) {
        memcpy(padded, auth, length);
        while (length % 4)
            padded[length++] = '=';
        if (EVP_DecodeBlock((unsigned char *)text, (const unsigned char *)padded, (int)length) < 0)
            r = -EINVAL;
    }
    colon = r == 0 ? strchr(text, ':') : NULL;
    if (r == 0 && !colon)
        r = -EINVAL;
    if (r == 0) {
        *colon = 0;
        secret_free(credentials->username);
        secret_free(credentials->password);
        credentials->username = strdup(text);
        credentials->password = strdup(colon + 1);
        r = credentials->username && credentials->password ? 0 : -ENOMEM;
    }
    if (padded)
        explicit_bzero(padded, length);
    if (text)
        explicit_bzero(text, room);
    free(padded);
    free(text);
    return r;
}

static size_t size_of(const Pull__Credentials *from, const char *auth)
{
    return strlen(from->username) + strlen(from->password) + strlen(from->identity_token) +
           strlen(from->registry_token) + strlen(from->server) + (auth ? strlen(auth) : 0);
}

/* What goes into a header must not begin another. */
static const char *find_unprintable(const Credentials *credentials)
{
    return !text_is_printable(credentials->registry_token)   ? "auth.registry_token"
           : !text_is_printable(credentials->identity_token) ? "auth.identity_token"
           : !text_is_printable(credentials->server)         ? "auth.server_address"
           : strchr(credentials->username, ':')              ? "auth.username"
                                                             : NULL;
}

int credentials_make(const Pull__Credentials *from, const char *auth, Credentials *ret,
                     Failure *why)
{
    CLEANUP(credentials_done) Credentials made = {0};
    const char *bad;
    int r;

    if (size_of(from, auth) > CREDENTIALS_SIZE_MAX)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "auth: longer than %d bytes",
                           CREDENTIALS_SIZE_MAX);
    if ((r = copy(from->username, &made.username)) < 0 ||
        (r = copy(from->password, &made.password)) < 0 ||
        (r = copy(from->identity_token, &made.identity_token)) < 0 ||
        (r = copy(from->registry_token, &made.registry_token)) < 0 ||
        (r = copy_server(from->server, &made.server)) < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot keep credentials");
    if (auth && *auth && !*made.username) {
        r = decode_auth(auth, &made);
        if (r == -EINVAL)
            return failure_say(why, FAILURE_INVALID_ARGUMENT,
                               "auth.auth: not \"name:password\" in base64");
        if (r < 0)
            return failure_set(why, FAILURE_INTERNAL, -r, "cannot keep credentials");
    }
    bad = find_unprintable(&made);
    if (bad)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "%s: has a byte in it that no such value may have", bad);
    *ret = made;
    made = (Credentials){0};
    return 0;
}

void credentials_done(Credentials *credentials)
{
    secret_free(credentials->username);
    secret_free(credentials->password);
    secret_free(credentials->identity_token);
    secret_free(credentials->registry_token);
    secret_free(credentials->server);
    *credentials = (Credentials){0};
}

bool credentials_are_empty(const Credentials *credentials)
{
    return !*credentials->username && !*credentials->password && !*credentials->identity_token &&
           !*credentials->registry_token;
}

bool credentials_equal(const Credentials *a, const Credentials *b)
{
    return strcmp(a->username, b->username) == 0 && strcmp(a->password, b->password) == 0 &&
           strcmp(a->identity_token, b->identity_token) == 0 &&
           strcmp(a->registry_token, b->registry_token) == 0 && strcmp(a->server, b->server) == 0;
}

bool credentials_fit(const Credentials *credentials, const char *registry, const char *host)
{
    bool is_mirror = strcmp(registry, host) != 0;

    if (credentials_are_empty(credentials))
        return false;
    return *credentials->server ? strcmp(credentials->server, host) == 0 : !is_mirror;
}

Pull__Credentials credentials_message(const Credentials *credentials)
{
    Pull__Credentials message = PULL__CREDENTIALS__INIT;

    message.username = credentials->username;
    message.password = credentials->password;
    message.identity_token = credentials->identity_token;
    message.registry_token = credentials->registry_token;
    message.server = credentials->server;
    return message;
}

char *credentials_basic(const Credentials *credentials)
{
    static const char prefix[] = "Basic ";
    char *plain = NULL, *header = NULL;
    int length = asprintf(&plain, "%s:%s", credentials->username, credentials->password);

    if (length < 0)
        return NULL;
    header = malloc(sizeof(prefix) + (size_t)length / 3 * 4 + 8);
    if (header) {
        memcpy(header, prefix, sizeof(prefix));
        (void)EVP_EncodeBlock((unsigned char *)header + strlen(prefix), (unsigned char *)plain,
                              length);
    }
    secret_free(plain);
    return header;
}
