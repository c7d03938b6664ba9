/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/stream/sha1.h"

#include <assert.h>
#include <string.h>

enum { BLOCK = 64 };

static uint32_t rotate(uint32_t value, int bits)
{
    return value << bits | value >> (32 - bits);
}

static void hash_block(const uint8_t *block, uint32_t state[5])
{
    uint32_t words[80];
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];

    for (size_t i = 0; i < 16; i++)
        words[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
                   (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 80; i++)
        words[i] = rotate(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
    for (int i = 0; i < 80; i++) {
        uint32_t mix = i < 20   ? ((b & c) | (~b & d)) + 0x5a827999
                       : i < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                       : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
                                : (b ^ c ^ d) + 0xca62c1d6;
        uint32_t next = rotate(a, 5) + mix + e + words[i];

        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

void sha1(const void *bytes, size_t size, uint8_t ret[SHA1_SIZE])
{
    uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    uint8_t padded[2 * BLOCK] = {0};
    size_t blocks = size + 9 > BLOCK ? 2 : 1;

    assert(size <= SHA1_INPUT_MAX);
    memcpy(padded, bytes, size);
    padded[size] = 0x80;
    padded[blocks * BLOCK - 2] = (uint8_t)(size * 8 >> 8);
    padded[blocks * BLOCK - 1] = (uint8_t)(size * 8);
    for (size_t i = 0; i < blocks; i++)
        hash_block(padded + i * BLOCK, state);
    for (int i = 0; i < SHA1_SIZE; i++)
        ret[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
}
