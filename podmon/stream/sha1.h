/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-1, FIPS 180-4: good for nothing any more but the handshake of RFC 6455, for which a podmon
 * is not to load a library of cryptography. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    SHA1_SIZE = 20,
    SHA1_INPUT_MAX = 119, /* two blocks with their padding */
};

/* At most SHA1_INPUT_MAX bytes. */
void sha1(const void *bytes, size_t size, uint8_t ret[SHA1_SIZE]);
