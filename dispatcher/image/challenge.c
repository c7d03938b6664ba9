/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/challenge.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

static const char token_bytes[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~";

static const char *skip_space(const char *at)
{
    return at + strspn(at, " \t");
}

/* A token, or a string in quotes. NULL: neither, or longer than fits. */
static const char *read_value(const char *at, char ret[CHALLENGE_VALUE_SIZE])
{
    size_t length = 0;

    if (*at != '"') {
        length = strspn(at, token_bytes);
        if (length == 0 || length >= CHALLENGE_VALUE_SIZE)
            return NULL;
        memcpy(ret, at, length);
        ret[length] = 0;
        return at + length;
    }
    for (at++; *at != '"'; at++) {
        if (*at == '\\')
            at++;
        if ((unsigned char)*at < ' ' || *at == 0x7f || length + 1 >= CHALLENGE_VALUE_SIZE)
            return NULL;
        ret[length++] = *at;
    }
    ret[length] = 0;
    return at + 1;
}

static char *field_of(Challenge *challenge, const char *name, size_t length)
{
    const struct {
        const char *name;
        char *field;
    } fields[] = {
        {"realm", challenge->realm}, {"service", challenge->service}, {"scope", challenge->scope}};

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (strlen(fields[i].name) == length && strncasecmp(fields[i].name, name, length) == 0)
            return fields[i].field;
    return NULL;
}

int challenge_parse(const char *header, Challenge *ret)
{
    Challenge challenge = {0};
    const char *at = skip_space(header);
    size_t length = strspn(at, token_bytes);

    if (length == strlen("Basic") && strncasecmp(at, "Basic", length) == 0)
        challenge.scheme = CHALLENGE_BASIC;
    else if (length == strlen("Bearer") && strncasecmp(at, "Bearer", length) == 0)
        challenge.scheme = CHALLENGE_BEARER;
    else
        return -EINVAL;
    at = skip_space(at + length);
    while (*at) {
        char value[CHALLENGE_VALUE_SIZE], *field;
        const char *name = at;

        length = strspn(at, token_bytes);
        at = skip_space(at + length);
        if (length == 0 || *at != '=')
            return -EINVAL;
        at = read_value(skip_space(at + 1), value);
        if (!at)
            return -EINVAL;
        field = field_of(&challenge, name, length);
        if (field)
            memcpy(field, value, sizeof(value));
        at = skip_space(at);
        if (*at && *at != ',')
            return -EINVAL;
        at = skip_space(at + (*at == ','));
    }
    if (challenge.scheme == CHALLENGE_BEARER && !*challenge.realm)
        return -EINVAL;
    *ret = challenge;
    return 0;
}
