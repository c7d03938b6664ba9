/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of one API into the other's, by field name (never by number or bytes: eight fields
 * have the same number and another meaning). What does not simply carry over has a rule (seed.c);
 * what is lost has a reason; a test walks every field of the seed and fails for one that has
 * neither. */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "dispatcher/arena.h"
#include "shared/failure.h"

/* What the rules need to know of this node. */
typedef struct ConvertSettings {
    const char *run_dir;             /* holds the pods' network namespaces */
    const char *seccomp_profile_dir; /* where the seed's localhost/… profiles lie */
} ConvertSettings;

/* A seed request as the runtime.v1 request `to`. Everything new lives in the arena; strings are
 * shared with `from`. INVALID_ARGUMENT where a value has no counterpart. */
int convert_request(const ConvertSettings *settings, Arena *arena, const ProtobufCMessage *from,
                    const ProtobufCMessageDescriptor *to, ProtobufCMessage **ret, Failure *why);

/* A runtime.v1 response as the seed's. Every scalar is set explicitly, zeros too: proto2 clients
 * see an unset field as missing. */
int convert_response(const ConvertSettings *settings, Arena *arena, const ProtobufCMessage *from,
                     const ProtobufCMessageDescriptor *to, ProtobufCMessage **ret, Failure *why);

typedef enum ConvertFate { CONVERT_CARRIED, CONVERT_RULED, CONVERT_DROPPED } ConvertFate;

/* What becomes of a seed field between its message and the runtime.v1 message of the same name;
 * `*ret_reason` (static, NULL for a carried one) says more. −ENOENT: the converter does not know,
 * which is a defect. For the accounting test. */
int convert_account(const ProtobufCMessageDescriptor *seed_message,
                    const ProtobufCMessageDescriptor *v1_message,
                    const ProtobufCFieldDescriptor *seed_field, ConvertFate *ret_fate,
                    const char **ret_reason);
