/* SPDX-License-Identifier: Apache-2.0 */
/* The head of an HTTP/1.1 request: request line and headers, as far as an upgrade needs them. Pure;
 * RFC 9112 without obsolete line folding. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum {
    HTTP_HEAD_MAX = 64 * 1024, /* a kubelet passes on whatever its client has sent */
    HTTP_HEADERS_MAX = 256,
};

typedef struct HttpHeader {
    const char *name, *value; /* the value without the space around it */
} HttpHeader;

typedef struct HttpHead {
    const char *method, *target;
    HttpHeader headers[HTTP_HEADERS_MAX];
    size_t headers_count;
    size_t size; /* what comes behind is no longer the head */
} HttpHead;

/* 1: *ret points into `data`, which has been cut into strings; 0: the head is not yet whole, and
 * `data` as it was; −EBADMSG: no request; −E2BIG: longer than HTTP_HEAD_MAX, or too many headers.
 */
int http_head_parse(char *data, size_t size, HttpHead *ret);

/* The first header of that name, in whatever case; NULL. */
const char *http_head_get(const HttpHead *head, const char *name);

/* Does a header of that name contain `part`, in whatever case? */
bool http_head_contains(const HttpHead *head, const char *name, const char *part);

/* Walks the comma-separated words of all headers of that name, in order, empty ones left out:
 * *position starts as 0. The next word with its length, or NULL. */
typedef struct HttpWord {
    const char *text;
    size_t length;
} HttpWord;
bool http_head_next_word(const HttpHead *head, const char *name, size_t *position, HttpWord *ret);
