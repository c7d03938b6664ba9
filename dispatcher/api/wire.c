/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/api/wire.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

typedef struct Reader {
    const uint8_t *at, *end;
} Reader;

static int read_varint(Reader *reader, uint64_t *ret)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64 && reader->at < reader->end; shift += 7) {
        uint8_t byte = *reader->at++;

        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = value;
            return 0;
        }
    }
    return -EBADMSG;
}

static int read_bytes(Reader *reader, uint64_t size, Reader *ret)
{
    if (size > (size_t)(reader->end - reader->at))
        return -EBADMSG;
    *ret = (Reader){reader->at, reader->at + size};
    reader->at += size;
    return 0;
}

/* The payload of a field; nothing but its bytes for what is not length-prefixed. */
static int read_payload(Reader *reader, unsigned wire_type, Reader *ret)
{
    uint64_t size;

    switch (wire_type) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        *ret = (Reader){reader->at, reader->at};
        return read_varint(reader, &size);
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        return read_bytes(reader, 8, ret);
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        return read_bytes(reader, 4, ret);
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        if (read_varint(reader, &size) < 0)
            return -EBADMSG;
        return read_bytes(reader, size, ret);
    default:
        return -EBADMSG;
    }
}

/* Bytes of the UTF-8 sequence at `at`, 0 if there is none (RFC 3629: shortest form, no
 * surrogates, up to U+10FFFF). */
static size_t utf8_length(const uint8_t *at, const uint8_t *end)
{
    uint8_t low = 0x80, high = 0xbf;
    size_t length;

    if (at[0] < 0x80)
        return 1;
    if (at[0] >= 0xc2 && at[0] <= 0xdf)
        length = 2;
    else if ((at[0] & 0xf0) == 0xe0)
        length = 3;
    else if (at[0] >= 0xf0 && at[0] <= 0xf4)
        length = 4;
    else
        return 0;
    if ((size_t)(end - at) < length)
        return 0;
    if (at[0] == 0xe0)
        low = 0xa0;
    else if (at[0] == 0xed)
        high = 0x9f;
    else if (at[0] == 0xf0)
        low = 0x90;
    else if (at[0] == 0xf4)
        high = 0x8f;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    return length;
}

static bool is_utf8(Reader text)
{
    while (text.at < text.end) {
        size_t length = utf8_length(text.at, text.end);

        if (length == 0)
            return false;
        text.at += length;
    }
    return true;
}

static int check_string(const ProtobufCMessageDescriptor *descriptor,
                        const ProtobufCFieldDescriptor *field, Reader text, Failure *why)
{
    size_t size = (size_t)(text.end - text.at);

    if (size > 0 && memchr(text.at, 0, size))
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "%s.%s has a NUL byte", descriptor->name,
                           field->name);
    if (!is_utf8(text))
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "%s.%s is not UTF-8", descriptor->name,
                           field->name);
    return 0;
}

static int check_message(const ProtobufCMessageDescriptor *descriptor, Reader reader,
                         unsigned depth, size_t *fields, Failure *why)
{
    if (depth > WIRE_DEPTH_MAX)
        return failure_say(why, FAILURE_RESOURCE_EXHAUSTED, "%s is nested more than %d deep",
                           descriptor->name, WIRE_DEPTH_MAX);
    while (reader.at < reader.end) {
        const ProtobufCFieldDescriptor *field;
        Reader payload;
        uint64_t tag;
        int r = 0;

        if (++*fields > WIRE_FIELDS_MAX)
            return failure_say(why, FAILURE_RESOURCE_EXHAUSTED,
                               "the request has more than %d fields", WIRE_FIELDS_MAX);
        if (read_varint(&reader, &tag) < 0 || tag > UINT32_MAX ||
            read_payload(&reader, (unsigned)(tag & 7), &payload) < 0)
            return failure_say(why, FAILURE_INVALID_ARGUMENT, "malformed %s", descriptor->name);
        field = protobuf_c_message_descriptor_get_field(descriptor, (unsigned)(tag >> 3));
        if (!field || (tag & 7) != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
            continue;
        if (field->type == PROTOBUF_C_TYPE_STRING)
            r = check_string(descriptor, field, payload, why);
        else if (field->type == PROTOBUF_C_TYPE_MESSAGE)
            r = check_message(field->descriptor, payload, depth + 1, fields, why);
        if (r < 0)
            return r;
    }
    return 0;
}

int wire_check(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t size,
               Failure *why)
{
    size_t fields = 0;

    if (size == 0)
        return 0;
    return check_message(descriptor, (Reader){bytes, bytes + size}, 0, &fields, why);
}
