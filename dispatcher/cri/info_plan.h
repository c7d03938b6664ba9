/* SPDX-License-Identifier: Apache-2.0 */
/* A message of ours as JSON: what is set in it, by the names of the .proto file. The environment,
 * where people keep secrets, is left out, and so are profiles, labels and annotations, which are
 * long and said elsewhere. Pure. */
#pragma once

#include <cjson/cJSON.h>
#include <protobuf-c/protobuf-c.h>

/* The caller's; NULL without memory, or for NULL. */
cJSON *info_plan(const ProtobufCMessage *message);
