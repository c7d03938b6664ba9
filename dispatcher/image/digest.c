/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct DigestStream {
    EVP_MD_CTX *context;
    DigestAlgorithm algorithm;
};

static const struct {
    const char *name;
    size_t size;
} algorithms[] = {
    [DIGEST_SHA256] = {"sha256", 32},
    [DIGEST_SHA512] = {"sha512", 64},
};

const char *digest_algorithm_name(DigestAlgorithm algorithm)
{
    return algorithms[algorithm].name;
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    return -1;
}

static int parse_hex(const char *hex, size_t size, uint8_t *ret)
{
    if (strlen(hex) != 2 * size)
        return -EINVAL;
    for (size_t i = 0; i < size; i++) {
        int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);

        if (high < 0 || low < 0)
            return -EINVAL;
        ret[i] = (uint8_t)(high << 4 | low);
    }
    return 0;
}

int digest_parse(const char *text, Digest *ret)
{
    for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
        Digest digest = {.algorithm = (DigestAlgorithm)i};
        size_t length = strlen(algorithms[i].name);

        if (strncmp(text, algorithms[i].name, length) != 0 || text[length] != ':')
            continue;
        if (parse_hex(text + length + 1, algorithms[i].size, digest.bytes) < 0)
            return -EINVAL;
        *ret = digest;
        return 0;
    }
    return -EINVAL;
}

void digest_print_hex(const Digest *digest, char ret[DIGEST_HEX_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    size_t size = algorithms[digest->algorithm].size;

    for (size_t i = 0; i < size; i++) {
        ret[2 * i] = digits[digest->bytes[i] >> 4];
        ret[2 * i + 1] = digits[digest->bytes[i] & 15];
    }
    ret[2 * size] = 0;
}

void digest_print(const Digest *digest, char ret[DIGEST_TEXT_SIZE])
{
    char hex[DIGEST_HEX_SIZE];

    digest_print_hex(digest, hex);
    (void)snprintf(ret, DIGEST_TEXT_SIZE, "%s:%s", algorithms[digest->algorithm].name, hex);
}

bool digest_equal(const Digest *a, const Digest *b)
{
    return a->algorithm == b->algorithm && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

int digest_stream_new(DigestAlgorithm algorithm, DigestStream **ret)
{
    DigestStream *stream = calloc(1, sizeof(*stream));

    if (!stream)
        return -ENOMEM;
    stream->algorithm = algorithm;
    stream->context = EVP_MD_CTX_new();
    if (!stream->context) {
        digest_stream_free(stream);
        return -ENOMEM;
    }
    if (EVP_DigestInit_ex(stream->context, algorithm == DIGEST_SHA512 ? EVP_sha512() : EVP_sha256(),
                          NULL) != 1) {
        digest_stream_free(stream);
        return -EIO;
    }
    *ret = stream;
    return 0;
}

DigestStream *digest_stream_free(DigestStream *stream)
{
    if (stream) {
        EVP_MD_CTX_free(stream->context);
        free(stream);
    }
    return NULL;
}

int digest_stream_add(DigestStream *stream, const void *data, size_t size)
{
    return EVP_DigestUpdate(stream->context, data, size) == 1 ? 0 : -EIO;
}

int digest_stream_finish(DigestStream *stream, Digest *ret)
{
    Digest digest = {.algorithm = stream->algorithm};

    if (EVP_DigestFinal_ex(stream->context, digest.bytes, NULL) != 1)
        return -EIO;
    *ret = digest;
    return 0;
}

int digest_of(DigestAlgorithm algorithm, const void *data, size_t size, Digest *ret)
{
    DigestStream *stream;
    int r = digest_stream_new(algorithm, &stream);

    if (r < 0)
        return r;
    r = digest_stream_add(stream, data, size);
    if (r == 0)
        r = digest_stream_finish(stream, ret);
    digest_stream_free(stream);
    return r;
}

int digest_chain(const Digest *parent, const Digest *diff_id, Digest *ret)
{
    char text[2 * DIGEST_TEXT_SIZE], diff[DIGEST_TEXT_SIZE], below[DIGEST_TEXT_SIZE];
    int length;

    if (!parent) {
        *ret = *diff_id;
        return 0;
    }
    digest_print(parent, below);
    digest_print(diff_id, diff);
    length = snprintf(text, sizeof(text), "%s %s", below, diff);
    return digest_of(DIGEST_SHA256, text, (size_t)length, ret);
}
