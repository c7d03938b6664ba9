/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/stream/base64.h"

#include <errno.h>
#include <string.h>

static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(const void *bytes, size_t size, char *ret)
{
    const uint8_t *next = bytes;
    char *end = ret;

    for (; size > 0; next += 3) {
        size_t count = size < 3 ? size : 3;
        uint32_t bits = (uint32_t)next[0] << 16 | (count > 1 ? (uint32_t)next[1] << 8 : 0) |
                        (count > 2 ? next[2] : 0);

        *end++ = DIGITS[bits >> 18];
        *end++ = DIGITS[bits >> 12 & 63];
        *end++ = count > 1 ? DIGITS[bits >> 6 & 63] : '=';
        *end++ = count > 2 ? DIGITS[bits & 63] : '=';
        size -= count;
    }
    return (size_t)(end - ret);
}

static int digit_value(char digit)
{
    const char *place = digit ? strchr(DIGITS, digit) : NULL;

    return place ? (int)(place - DIGITS) : -EINVAL;
}

ssize_t base64_decode(const char *text, size_t size, uint8_t *ret)
{
    uint8_t *end = ret;

    if (size % 4 != 0)
        return -EINVAL;
    for (size_t i = 0; i < size; i += 4) {
        size_t padding = 0;
        uint32_t bits = 0;

        if (i + 4 == size)
            padding = text[i + 3] != '=' ? 0 : text[i + 2] != '=' ? 1 : 2;
        for (size_t j = 0; j < 4; j++) {
            int value = j < 4 - padding ? digit_value(text[i + j]) : 0;

            if (value < 0)
                return -EINVAL;
            bits = bits << 6 | (uint32_t)value;
        }
        for (size_t j = 0; j < 3 - padding; j++)
            *end++ = (uint8_t)(bits >> (16 - 8 * j));
    }
    return end - ret;
}
