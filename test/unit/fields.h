/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of protobuf messages by their path, so that a test case is a line of text:
 * "mounts[0].host_path=/srv|mounts[0].readonly=1". Messages and arrays on the way are made. A path
 * that does not exist ends the program: the test is wrong. */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatcher/arena.h"

enum { FIELDS_TEXT_MAX = 8192 };

static void fields_die(const char *path)
{
    printf("  no such field: %s\n", path);
    abort();
}

/* Takes the first component off *path; *ret_index is −1 without "[n]". */
static const ProtobufCFieldDescriptor *fields_next(const ProtobufCMessage *message,
                                                   const char **path, long *ret_index)
{
    const char *start = *path;
    char name[64];
    size_t length = strcspn(start, ".[");
    const ProtobufCFieldDescriptor *field;
    char *end;

    (void)snprintf(name, sizeof(name), "%.*s", (int)length, start);
    field = protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);
    if (!field)
        fields_die(start);
    *ret_index = -1;
    *path = start + length;
    if (**path == '[') {
        *ret_index = strtol(*path + 1, &end, 10);
        *path = end + 1;
    }
    if (**path == '.')
        (*path)++;
    return field;
}

static size_t fields_size(const ProtobufCFieldDescriptor *field)
{
    switch ((int)field->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        return sizeof(int64_t);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return sizeof(int32_t);
    }
}

/* Where the value lies; an array is grown to hold the index. */
static void *fields_place(Arena *arena, ProtobufCMessage *message,
                          const ProtobufCFieldDescriptor *field, long index)
{
    char *base = (char *)message + field->offset;
    size_t *count = (void *)((char *)message + field->quantifier_offset);
    size_t size = fields_size(field);
    void *grown;

    if (field->label != PROTOBUF_C_LABEL_REPEATED)
        return base;
    if ((size_t)index >= *count) {
        grown = arena_alloc_array(arena, (size_t)index + 1, size);
        if (*count > 0)
            memcpy(grown, *(void **)(void *)base, *count * size);
        for (size_t i = *count; field->type == PROTOBUF_C_TYPE_STRING && i <= (size_t)index; i++)
            ((char **)grown)[i] = arena_copy(arena, "");
        *(void **)(void *)base = grown;
        *count = (size_t)index + 1;
    }
    return *(char **)(void *)base + (size_t)index * size;
}

static void fields_set_one(Arena *arena, ProtobufCMessage *message, const char *path,
                           const char *value)
{
    const char *rest = path;
    long index;

    for (;;) {
        const ProtobufCFieldDescriptor *field = fields_next(message, &rest, &index);
        void *place = fields_place(arena, message, field, index);

        switch ((int)field->type) {
        case PROTOBUF_C_TYPE_MESSAGE: {
            ProtobufCMessage **child = place;
            const ProtobufCMessageDescriptor *type = field->descriptor;

            if (!*child) {
                *child = arena_alloc(arena, type->sizeof_message);
                protobuf_c_message_init(type, *child);
            }
            if (!*rest)
                return;
            message = *child;
            continue;
        }
        case PROTOBUF_C_TYPE_STRING:
            *(char **)place = arena_copy(arena, value);
            return;
        case PROTOBUF_C_TYPE_BYTES:
            *(ProtobufCBinaryData *)place =
                (ProtobufCBinaryData){strlen(value), (uint8_t *)arena_copy(arena, value)};
            return;
        case PROTOBUF_C_TYPE_INT64:
            *(int64_t *)place = strtoll(value, NULL, 10);
            return;
        case PROTOBUF_C_TYPE_UINT64:
            *(uint64_t *)place = strtoull(value, NULL, 10);
            return;
        default:
            *(int32_t *)place = (int32_t)strtol(value, NULL, 10);
            return;
        }
    }
}

/* `text`: assignments joined by '|'. */
__attribute__((unused)) static void fields_set(Arena *arena, ProtobufCMessage *message,
                                               const char *text)
{
    char *copy = arena_copy(arena, text), *rest = copy, *one;

    while ((one = strsep(&rest, "|"))) {
        char *equals = strchr(one, '=');

        if (!*one)
            continue;
        if (equals)
            *equals = '\0';
        fields_set_one(arena, message, one, equals ? equals + 1 : "");
    }
}

/* The value at `path` as text; "(none)" for what is not there; "field#" is an array's length. */
__attribute__((unused)) static const char *fields_get(const ProtobufCMessage *message,
                                                      const char *path)
{
    static char text[FIELDS_TEXT_MAX];
    char copy[256];
    const char *rest = copy;
    long index;
    size_t length;

    (void)snprintf(copy, sizeof(copy), "%s", path);
    length = strlen(copy);
    for (;;) {
        bool is_count = length > 0 && copy[length - 1] == '#' && !strpbrk(rest, ".[");
        const ProtobufCFieldDescriptor *field;
        const char *place;

        if (is_count)
            copy[length - 1] = '\0';
        field = fields_next(message, &rest, &index);
        place = (const char *)message + field->offset;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t count =
                *(const size_t *)(const void *)((const char *)message + field->quantifier_offset);

            if (is_count) {
                (void)snprintf(text, sizeof(text), "%zu", count);
                return text;
            }
            if ((size_t)index >= count)
                return "(none)";
            place = *(const char *const *)(const void *)place + (size_t)index * fields_size(field);
        }
        switch ((int)field->type) {
        case PROTOBUF_C_TYPE_MESSAGE:
            message = *(ProtobufCMessage *const *)(const void *)place;
            if (!message)
                return "(none)";
            if (!*rest)
                return "(there)";
            continue;
        case PROTOBUF_C_TYPE_STRING:
            return *(const char *const *)(const void *)place;
        case PROTOBUF_C_TYPE_BYTES: {
            const ProtobufCBinaryData *data = (const void *)place;

            (void)snprintf(text, sizeof(text), "%.*s", (int)data->len,
                           data->data ? (const char *)data->data : "");
            return text;
        }
        case PROTOBUF_C_TYPE_INT64:
            (void)snprintf(text, sizeof(text), "%lld",
                           (long long)*(const int64_t *)(const void *)place);
            return text;
        case PROTOBUF_C_TYPE_UINT64:
            (void)snprintf(text, sizeof(text), "%llu",
                           (unsigned long long)*(const uint64_t *)(const void *)place);
            return text;
        default:
            (void)snprintf(text, sizeof(text), "%d", *(const int32_t *)(const void *)place);
            return text;
        }
    }
}
