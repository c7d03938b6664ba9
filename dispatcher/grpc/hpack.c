/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/grpc/hpack.h"

#include <string.h>

/* An integer with a prefix of seven bits (RFC 7541, 5.1), the eighth being 0: no Huffman code. */
static uint8_t *put_length(uint8_t *target, size_t value)
{
    if (value < 127) {
        *target++ = (uint8_t)value;
        return target;
    }
    *target++ = 127;
    for (value -= 127; value >= 128; value >>= 7)
        *target++ = (uint8_t)(0x80 | (value & 0x7f));
    *target++ = (uint8_t)value;
    return target;
}

static uint8_t *put_string(uint8_t *target, const char *string, size_t size)
{
    target = put_length(target, size);
    if (size > 0)
        memcpy(target, string, size);
    return target + size;
}

uint8_t *hpack_put_field(uint8_t *target, const char *name, size_t name_size, const char *value,
                         size_t value_size)
{
    *target++ = 0; /* literal without indexing, new name (RFC 7541, 6.2.2) */
    target = put_string(target, name, name_size);
    return put_string(target, value, value_size);
}
