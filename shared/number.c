/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/number.h"

#include <errno.h>
#include <stdbool.h>

/* The digits of the whole string as a magnitude that fits 64 bits. */
static int parse_digits(const char *text, uint64_t *ret)
{
    uint64_t value = 0;
    int r = 0;

    if (!*text)
        return -EINVAL;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -EINVAL;
        /* A stray letter behind too many digits still makes it no number at all. */
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
            r = -ERANGE;
    }
    if (r == 0)
        *ret = value;
    return r;
}

int number_parse_unsigned(const char *text, uint64_t max, uint64_t *ret)
{
    bool negative = *text == '-';
    uint64_t value = 0;
    int r = parse_digits(text + (negative ? 1 : 0), &value);

    if (r < 0)
        return r;
    if ((negative && value > 0) || value > max)
        return -ERANGE;
    *ret = value;
    return 0;
}

int number_parse_signed(const char *text, int64_t min, int64_t max, int64_t *ret)
{
    bool negative = *text == '-';
    uint64_t magnitude = 0;
    int64_t value;
    int r = parse_digits(text + (negative ? 1 : 0), &magnitude);

    if (r < 0)
        return r;
    if (magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return -ERANGE;
    /* −magnitude without passing through +2^63, which int64_t does not have. */
    value = negative && magnitude > 0 ? -(int64_t)(magnitude - 1) - 1 : (int64_t)magnitude;
    if (value < min || value > max)
        return -ERANGE;
    *ret = value;
    return 0;
}
