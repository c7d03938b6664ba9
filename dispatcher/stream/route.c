/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/stream/route.h"

#include <stdio.h>
#include <string.h>

enum { STATUS_BAD_REQUEST = 400, STATUS_NOT_FOUND = 404, STATUS_METHOD_NOT_ALLOWED = 405 };

static const char *const NAMES[] = {
    [PODMON__STREAM_OPERATION__STREAM_EXEC] = "exec",
    [PODMON__STREAM_OPERATION__STREAM_ATTACH] = "attach",
    [PODMON__STREAM_OPERATION__STREAM_PORT_FORWARD] = "portforward",
};

enum { OPERATIONS = sizeof(NAMES) / sizeof(*NAMES) };

const char *stream_route_name(Podmon__StreamOperation operation)
{
    return NAMES[operation];
}

/* "/exec/TOKEN" and nothing else. */
static bool parse_target(const char *target, StreamRoute *ret)
{
    for (int i = 0; i < OPERATIONS; i++) {
        size_t length = strlen(NAMES[i]);
        const char *token = target + length + 2;

        if (target[0] != '/' || strncmp(target + 1, NAMES[i], length) != 0 ||
            target[length + 1] != '/')
            continue;
        if (strlen(token) <= ID_POD_PREFIX || strlen(token) >= sizeof(ret->token) ||
            strspn(token, "0123456789abcdef") != strlen(token))
            return false;
        ret->operation = (Podmon__StreamOperation)i;
        memcpy(ret->token, token, strlen(token) + 1);
        memcpy(ret->pod, token, ID_POD_PREFIX);
        ret->pod[ID_POD_PREFIX] = '\0';
        return true;
    }
    return false;
}

/* Whatever follows the head belongs to what is spoken after the upgrade. */
static bool has_body(const HttpHead *head)
{
    const char *length = http_head_get(head, "Content-Length");

    return http_head_get(head, "Transfer-Encoding") || (length && strcmp(length, "0") != 0);
}

int stream_route_parse(const HttpHead *head, StreamRoute *ret)
{
    StreamRoute route;

    if (!parse_target(head->target, &route))
        return STATUS_NOT_FOUND;
    if (strcmp(head->method, "GET") != 0 && strcmp(head->method, "POST") != 0)
        return STATUS_METHOD_NOT_ALLOWED;
    if (has_body(head))
        return STATUS_BAD_REQUEST;
    *ret = route;
    return 0;
}
