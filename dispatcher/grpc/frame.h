/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes that gRPC puts into HTTP/2: the prefix of a message, and the values of two headers.
 * Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "shared/failure.h"

enum {
    FRAME_PREFIX_SIZE = 5, /* compressed flag, big-endian length */
    FRAME_TEXT_SIZE = 3 * FAILURE_TEXT_MAX,
};

/* The one message of a unary request's body. Fails with the code a gRPC server answers:
 * UNIMPLEMENTED for a compressed one, RESOURCE_EXHAUSTED above `limit`, INTERNAL for a body that is
 * not exactly one whole message. */
int frame_unwrap(const uint8_t *body, size_t size, size_t limit, const uint8_t **ret_message,
                 size_t *ret_size, Failure *why);

/* Writes the FRAME_PREFIX_SIZE bytes in front of an uncompressed message. */
void frame_write_prefix(uint8_t *prefix, uint32_t size);

/* A grpc-timeout: 1 to 8 digits and one of H M S m u n. Nanoseconds, or −EINVAL. */
int frame_parse_timeout(const char *text, size_t size, uint64_t *ret_ns);

/* A status text as a grpc-message: percent-encoded; cut, never inside an escape, after
 * FAILURE_TEXT_MAX bytes of `text`. `ret` has FRAME_TEXT_SIZE bytes and is not terminated; returns
 * how many are used. */
size_t frame_encode_text(const char *text, char *ret);
