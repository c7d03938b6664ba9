/* SPDX-License-Identifier: Apache-2.0 */
/* The table of all methods of runtime.v1; the seed's are those of the same name. */
#pragma once

#include "dispatcher/api/call.h"

typedef struct Method {
    const char *service; /* "RuntimeService" or "ImageService" */
    const char *name;
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *response;
    CriHandler handle; /* NULL: answers UNIMPLEMENTED */
    bool streaming;
} Method;

/* dispatcher/cri/methods.c: the one place where a method's name meets its handler. */
extern const Method cri_methods[];
extern const size_t cri_methods_count;
