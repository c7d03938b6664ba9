/* SPDX-License-Identifier: Apache-2.0 */
/* Header fields in HPACK (RFC 7541) that leave the dynamic table alone: literal without indexing,
 * name and value in plain octets. So they may be written beside h2o's own encoder, which does not
 * know of them. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The most that a field of these lengths takes. */
#define HPACK_FIELD_SIZE(name_size, value_size) (1 + 2 * 10 + (name_size) + (value_size))

/* Writes one field (names in lower case); returns the byte after it. */
uint8_t *hpack_put_field(uint8_t *target, const char *name, size_t name_size, const char *value,
                         size_t value_size);
