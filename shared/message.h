/* SPDX-License-Identifier: Apache-2.0 */
/* Protobuf messages of ours over a channel. */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "shared/channel.h"

/* As channel_send; −ENOMEM. */
int message_send(int fd, const ProtobufCMessage *message, const int *fds, size_t fds_count);

/* As channel_receive, and decodes: *ret is freed with protobuf_c_message_free_unpacked(*ret, NULL).
 * `envelope` (may be NULL: descriptors are closed) receives the descriptors that came along. */
int message_receive(int fd, const ProtobufCMessageDescriptor *descriptor, ChannelMessage *envelope,
                    ProtobufCMessage **ret);

/* A deep copy, or NULL without memory. */
ProtobufCMessage *message_copy(const ProtobufCMessage *message);
