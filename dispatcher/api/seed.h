/* SPDX-License-Identifier: Apache-2.0 */
/* The first CRI (package runtime): its methods, and the rules by which its messages become those of
 * runtime.v1 and back. The only file beside the tests that sees its messages. */
#pragma once

#include "dispatcher/api/convert.h"

/* −ENOENT: the seed has no such method. */
int seed_find_method(const char *service, const char *name,
                     const ProtobufCMessageDescriptor **ret_request,
                     const ProtobufCMessageDescriptor **ret_response);

typedef struct SeedContext {
    const ConvertSettings *settings;
    Arena *arena;
} SeedContext;

/* What the copy by name has left to do for one message, its parts being complete. */
typedef struct SeedRule {
    const ProtobufCMessageDescriptor *message;
    /* request, seed → runtime.v1; NULL: nothing to do */
    int (*raise)(const SeedContext *context, const ProtobufCMessage *seed, ProtobufCMessage *v1,
                 Failure *why);
    /* response, runtime.v1 → seed; NULL: nothing to do */
    void (*lower)(const SeedContext *context, const ProtobufCMessage *v1, ProtobufCMessage *seed);
} SeedRule;

/* NULL: the copy by name is all. */
const SeedRule *seed_find_rule(const ProtobufCMessageDescriptor *message);

/* Fate and reason of a field that is not simply carried, or −ENOENT. */
int seed_find_fate(const ProtobufCMessageDescriptor *message, const char *field,
                   ConvertFate *ret_fate, const char **ret_reason);
