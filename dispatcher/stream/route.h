/* SPDX-License-Identifier: Apache-2.0 */
/* Which stream a request asks for. Pure. */
#pragma once

#include "podmon.pb-c.h"
#include "shared/http_head.h"
#include "shared/id.h"

enum { STREAM_TOKEN_MAX = 128 };

typedef struct StreamRoute {
    Podmon__StreamOperation operation;
    char token[STREAM_TOKEN_MAX];
    char pod[ID_POD_PREFIX + 1]; /* the beginning of the pod's id */
} StreamRoute;

/* 0, or the status of the refusal: 400, 404, 405. */
int stream_route_parse(const HttpHead *head, StreamRoute *ret);

/* "exec", "attach", "portforward": the path's first part. */
const char *stream_route_name(Podmon__StreamOperation operation);
