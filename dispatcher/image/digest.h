/* SPDX-License-Identifier: Apache-2.0 */
/* Content digests: "sha256:<64 hex>" or "sha512:<128 hex>". The text from outside is parsed to
 * bytes and printed again before it becomes a part of any path. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum DigestAlgorithm {
    DIGEST_SHA256,
    DIGEST_SHA512,
} DigestAlgorithm;

enum {
    DIGEST_BYTES_MAX = 64,
    DIGEST_HEX_SIZE = 2 * DIGEST_BYTES_MAX + 1,
    DIGEST_TEXT_SIZE = 7 + DIGEST_HEX_SIZE,
};

/* Plain data; bytes beyond the algorithm's length are zero. */
typedef struct Digest {
    DigestAlgorithm algorithm;
    uint8_t bytes[DIGEST_BYTES_MAX];
} Digest;

/* −EINVAL: anything but the exact form, lower case. */
int digest_parse(const char *text, Digest *ret);

void digest_print(const Digest *digest, char ret[DIGEST_TEXT_SIZE]);
void digest_print_hex(const Digest *digest, char ret[DIGEST_HEX_SIZE]);
bool digest_equal(const Digest *a, const Digest *b);

/* "sha256" or "sha512": the name of the blobs' directory. */
const char *digest_algorithm_name(DigestAlgorithm algorithm);

/* −EIO: libcrypto refused, −ENOMEM; so for all below. */
int digest_of(DigestAlgorithm algorithm, const void *data, size_t size, Digest *ret);

/* The chain id of a layer on top of `parent` (NULL: the lowest), by the OCI image specification:
 * sha256 over "<parent's chain id> <diff id>". */
int digest_chain(const Digest *parent, const Digest *diff_id, Digest *ret);

/* Hashing as bytes stream by. */
typedef struct DigestStream DigestStream;

int digest_stream_new(DigestAlgorithm algorithm, DigestStream **ret);
DigestStream *digest_stream_free(DigestStream *stream);
int digest_stream_add(DigestStream *stream, const void *data, size_t size);
int digest_stream_finish(DigestStream *stream, Digest *ret);

static inline void digest_stream_cleanup(DigestStream **stream)
{
    digest_stream_free(*stream);
}
