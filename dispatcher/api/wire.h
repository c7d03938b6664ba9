/* SPDX-License-Identifier: Apache-2.0 */
/* What protobuf-c does not check before it decodes: its strings end at the first NUL, their bytes
 * may be anything, and a small message may unpack into a very large one. Pure. */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/failure.h"

enum {
    WIRE_FIELDS_MAX = 512 * 1024, /* in one message, those inside it included */
    WIRE_DEPTH_MAX = 32,
};

/* Every string of the message is UTF-8 without NUL. INVALID_ARGUMENT naming message and field, also
 * for bytes that are no message; RESOURCE_EXHAUSTED over the limits. */
int wire_check(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t size,
               Failure *why);
