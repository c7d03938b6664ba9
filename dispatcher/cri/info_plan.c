/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cri/info_plan.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { DEPTH_MAX = 16, NUMBER_SIZE = 32 };

static const char *const LEFT_OUT[] = {"env", "seccomp_profile", "labels", "annotations",
                                       "resolv_conf"};

static cJSON *message_to_json(const ProtobufCMessage *message, int depth);

static bool is_left_out(const char *name)
{
    for (size_t i = 0; i < sizeof(LEFT_OUT) / sizeof(LEFT_OUT[0]); i++)
        if (strcmp(LEFT_OUT[i], name) == 0)
            return true;
    return false;
}

/* 64 bits do not fit into the numbers of JSON: a text, as protobuf's own JSON has it. */
static cJSON *wide_to_json(const void *value, bool is_signed)
{
    char text[NUMBER_SIZE];

    if (is_signed)
        (void)snprintf(text, sizeof(text), "%" PRId64, *(const int64_t *)value);
    else
        (void)snprintf(text, sizeof(text), "%" PRIu64, *(const uint64_t *)value);
    return cJSON_CreateString(text);
}

static cJSON *enum_to_json(const ProtobufCEnumDescriptor *values, int number)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(values, number);

    return cJSON_CreateString(value ? value->name : "unknown");
}

static cJSON *value_to_json(const ProtobufCFieldDescriptor *field, const void *value, int depth)
{
    switch ((int)field->type) {
    case PROTOBUF_C_TYPE_STRING:
        return cJSON_CreateString(*(const char *const *)value);
    case PROTOBUF_C_TYPE_MESSAGE:
        return message_to_json(*(const ProtobufCMessage *const *)value, depth + 1);
    case PROTOBUF_C_TYPE_BOOL:
        return cJSON_CreateBool(*(const protobuf_c_boolean *)value);
    case PROTOBUF_C_TYPE_ENUM:
        return enum_to_json(field->descriptor, *(const int *)value);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        return wide_to_json(value, field->type == PROTOBUF_C_TYPE_INT64);
    case PROTOBUF_C_TYPE_UINT32:
        return cJSON_CreateNumber(*(const uint32_t *)value);
    case PROTOBUF_C_TYPE_INT32:
        return cJSON_CreateNumber(*(const int32_t *)value);
    default:
        return NULL; /* Bytes and floats are in no plan. */
    }
}

static size_t size_of(const ProtobufCFieldDescriptor *field)
{
    switch ((int)field->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        return sizeof(int64_t);
    default:
        return sizeof(int32_t);
    }
}

static bool is_zero(const void *value, size_t size)
{
    static const char zero[sizeof(void *) + sizeof(int64_t)];

    return memcmp(value, zero, size) == 0;
}

/* NULL: there is nothing to show. */
static cJSON *field_to_json(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                            int depth)
{
    const char *value = (const char *)message + field->offset;
    size_t count, size = size_of(field);
    cJSON *array;

    if (field->label != PROTOBUF_C_LABEL_REPEATED) {
        bool empty = field->type == PROTOBUF_C_TYPE_STRING ? !**(const char *const *)value
                     : field->type == PROTOBUF_C_TYPE_ENUM ? false
                                                           : is_zero(value, size);

        return empty ? NULL : value_to_json(field, value, depth);
    }
    memcpy(&count, (const char *)message + field->quantifier_offset, sizeof(count));
    array = count > 0 ? cJSON_CreateArray() : NULL;
    for (size_t i = 0; i < count; i++)
        (void)cJSON_AddItemToArray(
            array,
            value_to_json(field, *(const char *const *)(const void *)value + i * size, depth));
    return array;
}

static cJSON *message_to_json(const ProtobufCMessage *message, int depth)
{
    cJSON *object = message && depth < DEPTH_MAX ? cJSON_CreateObject() : NULL;

    for (unsigned i = 0; object && i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        cJSON *value = is_left_out(field->name) ? NULL : field_to_json(message, field, depth);

        if (value)
            (void)cJSON_AddItemToObject(object, field->name, value);
    }
    return object;
}

cJSON *info_plan(const ProtobufCMessage *message)
{
    return message_to_json(message, 0);
}
