/* SPDX-License-Identifier: Apache-2.0 */
/* Header blocks of SPDY/3.1: name and value pairs behind one zlib stream per connection, which
 * starts from the dictionary of the SPDY/3 draft, section 2.6.10.1. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

enum {
    SPDY_BLOCK_MAX = 16 * 1024, /* inflated; beyond that somebody wants our memory */
    SPDY_HEADERS_MAX = 32,
    SPDY_NAME_MAX = 64,
    SPDY_VALUE_MAX = 4096,
    SPDY_DICTIONARY_SIZE = 1423,
};

typedef struct SpdyHeader {
    const char *name, *value;
} SpdyHeader;

/* Strings live in `text` until the next block. */
typedef struct SpdyHeaders {
    SpdyHeader headers[SPDY_HEADERS_MAX];
    size_t count;
    char text[SPDY_BLOCK_MAX + SPDY_HEADERS_MAX * 2];
} SpdyHeaders;

typedef struct SpdyInflater {
    z_stream zlib;
} SpdyInflater;

int spdy_inflater_init(SpdyInflater *inflater); /* −ENOMEM */
void spdy_inflater_done(SpdyInflater *inflater);

/* Every block of a connection has to come here, in order, also those that nobody wants. −EBADMSG:
 * it is no block, or exceeds a bound; the connection is of no use any more. */
int spdy_inflate(SpdyInflater *inflater, const uint8_t *data, size_t size, SpdyHeaders *ret);

/* The first of that name, in whatever case; NULL. */
const char *spdy_headers_get(const SpdyHeaders *headers, const char *name);

/* The dictionary, SPDY_DICTIONARY_SIZE bytes. */
void spdy_dictionary(uint8_t ret[SPDY_DICTIONARY_SIZE]);
