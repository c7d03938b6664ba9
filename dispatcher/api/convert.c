/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/api/convert.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "dispatcher/api/seed.h"

typedef ProtobufCMessageDescriptor MessageDescriptor;
typedef ProtobufCFieldDescriptor FieldDescriptor;

typedef struct Converter {
    SeedContext context;
    bool raising; /* seed → runtime.v1 */
    Failure *why;
} Converter;

static void *member_of(const ProtobufCMessage *message, unsigned offset)
{
    return (char *)message + offset;
}

static const char *type_name(const FieldDescriptor *field)
{
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return ((const MessageDescriptor *)field->descriptor)->short_name;
    if (field->type == PROTOBUF_C_TYPE_ENUM)
        return ((const ProtobufCEnumDescriptor *)field->descriptor)->short_name;
    return "";
}

/* Do both hold the same kind of value? Numbers and presence may differ. */
static bool is_akin(const FieldDescriptor *one, const FieldDescriptor *other)
{
    return one->type == other->type &&
           (one->label == PROTOBUF_C_LABEL_REPEATED) ==
               (other->label == PROTOBUF_C_LABEL_REPEATED) &&
           !((one->flags | other->flags) & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
           strcmp(type_name(one), type_name(other)) == 0;
}

static size_t element_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return sizeof(uint64_t);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM:
    default:
        return sizeof(uint32_t);
    }
}

static int convert_message(const Converter *converter, const ProtobufCMessage *from,
                           const MessageDescriptor *to, ProtobufCMessage **ret);

static int convert_enum(const Converter *converter, const MessageDescriptor *message,
                        const FieldDescriptor *source, const FieldDescriptor *target, int value,
                        int *ret)
{
    const ProtobufCEnumValue *known =
        protobuf_c_enum_descriptor_get_value(source->descriptor, value);

    if (known)
        known = protobuf_c_enum_descriptor_get_value_by_name(target->descriptor, known->name);
    if (!known)
        return failure_say(converter->why,
                           converter->raising ? FAILURE_INVALID_ARGUMENT : FAILURE_INTERNAL,
                           "%s.%s is %d, which is no %s", message->short_name, source->name, value,
                           type_name(source));
    *ret = known->value;
    return 0;
}

/* One value, or one element of a repeated field. */
static int convert_value(const Converter *converter, const MessageDescriptor *message,
                         const FieldDescriptor *source, const FieldDescriptor *target,
                         const void *from, void *to)
{
    if (source->type == PROTOBUF_C_TYPE_MESSAGE)
        return convert_message(converter, *(ProtobufCMessage *const *)from, target->descriptor,
                               (ProtobufCMessage **)to);
    if (source->type == PROTOBUF_C_TYPE_ENUM)
        return convert_enum(converter, message, source, target, *(const int *)from, (int *)to);
    memcpy(to, from, element_size(source->type));
    return 0;
}

static int convert_repeated(const Converter *converter, const ProtobufCMessage *from,
                            const FieldDescriptor *source, const FieldDescriptor *target,
                            ProtobufCMessage *to)
{
    size_t count = *(size_t *)member_of(from, source->quantifier_offset);
    const char *elements = *(const char **)member_of(from, source->offset);
    size_t size = element_size(source->type);
    char *copies;

    if (count == 0)
        return 0;
    copies = arena_alloc_array(converter->context.arena, count, size);
    for (size_t i = 0; i < count; i++) {
        int r = convert_value(converter, from->descriptor, source, target, elements + i * size,
                              copies + i * size);

        if (r < 0)
            return r;
    }
    *(size_t *)member_of(to, target->quantifier_offset) = count;
    *(char **)member_of(to, target->offset) = copies;
    return 0;
}

static bool is_pointer(const FieldDescriptor *field)
{
    return field->type == PROTOBUF_C_TYPE_MESSAGE || field->type == PROTOBUF_C_TYPE_STRING;
}

static bool is_set(const ProtobufCMessage *message, const FieldDescriptor *field)
{
    if (is_pointer(field))
        return *(void **)member_of(message, field->offset) != NULL;
    if (field->label == PROTOBUF_C_LABEL_OPTIONAL)
        return *(protobuf_c_boolean *)member_of(message, field->quantifier_offset);
    return true;
}

static int convert_field(const Converter *converter, const ProtobufCMessage *from,
                         const FieldDescriptor *source, const FieldDescriptor *target,
                         ProtobufCMessage *to)
{
    if (source->label == PROTOBUF_C_LABEL_REPEATED)
        return convert_repeated(converter, from, source, target, to);
    if (!is_set(from, source))
        return 0;
    if (target->label == PROTOBUF_C_LABEL_OPTIONAL && !is_pointer(target))
        *(protobuf_c_boolean *)member_of(to, target->quantifier_offset) = 1;
    return convert_value(converter, from->descriptor, source, target,
                         member_of(from, source->offset), member_of(to, target->offset));
}

static int apply_rule(const Converter *converter, const ProtobufCMessage *from,
                      ProtobufCMessage *to)
{
    const SeedRule *rule = seed_find_rule(converter->raising ? from->descriptor : to->descriptor);

    if (rule && converter->raising && rule->raise)
        return rule->raise(&converter->context, from, to, converter->why);
    if (rule && !converter->raising && rule->lower)
        rule->lower(&converter->context, from, to);
    return 0;
}

/* The depth is that of the message types, none of which contains itself. */
static int convert_message(const Converter *converter, const ProtobufCMessage *from,
                           const MessageDescriptor *to, ProtobufCMessage **ret)
{
    ProtobufCMessage *message = arena_alloc(converter->context.arena, to->sizeof_message);
    int r;

    protobuf_c_message_init(to, message);
    for (unsigned i = 0; i < to->n_fields; i++) {
        const FieldDescriptor *target = &to->fields[i];
        const FieldDescriptor *source =
            protobuf_c_message_descriptor_get_field_by_name(from->descriptor, target->name);

        if (!source || !is_akin(source, target))
            continue;
        r = convert_field(converter, from, source, target, message);
        if (r < 0)
            return r;
    }
    r = apply_rule(converter, from, message);
    if (r < 0)
        return r;
    *ret = message;
    return 0;
}

int convert_request(const ConvertSettings *settings, Arena *arena, const ProtobufCMessage *from,
                    const ProtobufCMessageDescriptor *to, ProtobufCMessage **ret, Failure *why)
{
    Converter converter = {.context = {settings, arena}, .raising = true, .why = why};

    return convert_message(&converter, from, to, ret);
}

int convert_response(const ConvertSettings *settings, Arena *arena, const ProtobufCMessage *from,
                     const ProtobufCMessageDescriptor *to, ProtobufCMessage **ret, Failure *why)
{
    Converter converter = {.context = {settings, arena}, .raising = false, .why = why};

    return convert_message(&converter, from, to, ret);
}

int convert_account(const ProtobufCMessageDescriptor *seed_message,
                    const ProtobufCMessageDescriptor *v1_message,
                    const ProtobufCFieldDescriptor *seed_field, ConvertFate *ret_fate,
                    const char **ret_reason)
{
    const FieldDescriptor *counterpart;

    if (seed_find_fate(seed_message, seed_field->name, ret_fate, ret_reason) >= 0)
        return 0;
    counterpart = protobuf_c_message_descriptor_get_field_by_name(v1_message, seed_field->name);
    if (!counterpart || !is_akin(seed_field, counterpart))
        return -ENOENT;
    *ret_fate = CONVERT_CARRIED;
    *ret_reason = NULL;
    return 0;
}
