/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 of RFC 4648, padded. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define BASE64_SIZE(bytes) (((bytes) + 2) / 3 * 4)

/* Writes BASE64_SIZE(size) characters, no NUL; returns how many. */
size_t base64_encode(const void *bytes, size_t size, char *ret);

/* The count of bytes written, at most size / 4 * 3, or −EINVAL. `ret` may be `text`. */
ssize_t base64_decode(const char *text, size_t size, uint8_t *ret);
