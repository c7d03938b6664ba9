/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/grpc/frame.h"

#include <errno.h>
#include <string.h>

int frame_unwrap(const uint8_t *body, size_t size, size_t limit, const uint8_t **ret_message,
                 size_t *ret_size, Failure *why)
{
    uint32_t length;

    if (size == 0)
        return failure_say(why, FAILURE_INTERNAL, "the request has no message");
    if (size < FRAME_PREFIX_SIZE)
        return failure_say(why, FAILURE_INTERNAL, "the request ends after %zu of %d prefix bytes",
                           size, FRAME_PREFIX_SIZE);
    if (body[0] == 1)
        return failure_say(why, FAILURE_UNIMPLEMENTED, "compressed requests are not supported");
    if (body[0] != 0)
        return failure_say(why, FAILURE_INTERNAL, "the compressed flag is %u, must be 0 or 1",
                           body[0]);

    length = (uint32_t)body[1] << 24 | (uint32_t)body[2] << 16 | (uint32_t)body[3] << 8 | body[4];
    size -= FRAME_PREFIX_SIZE;
    if (length > limit)
        return failure_say(why, FAILURE_RESOURCE_EXHAUSTED,
                           "the request has %u bytes, the limit is %zu", length, limit);
    if (size != length)
        return failure_say(why, FAILURE_INTERNAL, "the prefix announces %u bytes, %zu follow",
                           length, size);
    *ret_message = body + FRAME_PREFIX_SIZE;
    *ret_size = length;
    return 0;
}

void frame_write_prefix(uint8_t *prefix, uint32_t size)
{
    prefix[0] = 0;
    prefix[1] = (uint8_t)(size >> 24);
    prefix[2] = (uint8_t)(size >> 16);
    prefix[3] = (uint8_t)(size >> 8);
    prefix[4] = (uint8_t)size;
}

static uint64_t unit_nanoseconds(char unit)
{
    switch (unit) {
    case 'H':
        return UINT64_C(3600000000000);
    case 'M':
        return UINT64_C(60000000000);
    case 'S':
        return UINT64_C(1000000000);
    case 'm':
        return UINT64_C(1000000);
    case 'u':
        return UINT64_C(1000);
    case 'n':
        return 1;
    default:
        return 0;
    }
}

int frame_parse_timeout(const char *text, size_t size, uint64_t *ret_ns)
{
    uint64_t value = 0, unit;

    if (size < 2 || size > 9)
        return -EINVAL;
    unit = unit_nanoseconds(text[size - 1]);
    if (unit == 0)
        return -EINVAL;
    for (size_t i = 0; i < size - 1; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -EINVAL;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    /* 99999999H is 3.6e20 ns; more than 64 bits hold means for ever. */
    if (__builtin_mul_overflow(value, unit, ret_ns))
        *ret_ns = UINT64_MAX;
    return 0;
}

size_t frame_encode_text(const char *text, char *ret)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t size = strnlen(text, FAILURE_TEXT_MAX), used = 0;

    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)text[i];

        if (byte >= 0x20 && byte <= 0x7e && byte != '%') {
            ret[used++] = (char)byte;
        } else {
            ret[used++] = '%';
            ret[used++] = digits[byte >> 4];
            ret[used++] = digits[byte & 15];
        }
    }
    return used;
}
