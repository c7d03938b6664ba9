/* SPDX-License-Identifier: Apache-2.0 */
/* Records on disk: a protobuf message behind a header with magic, version, length and CRC-32, so
 * that a torn or flipped file is known as such and never half believed. One object, one file. */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "shared/file.h"

enum { RECORD_SIZE_MAX = 16 * 1024 * 1024 };

int record_write_at(int dir_fd, const char *name, const ProtobufCMessage *message, mode_t mode,
                    FileSync sync);

/* −ENOENT; −EBADMSG: not a whole record of this kind. The caller frees *ret with
 * protobuf_c_message_free_unpacked(*ret, allocator). `allocator` may be NULL. */
int record_read_at(int dir_fd, const char *name, const ProtobufCMessageDescriptor *descriptor,
                   ProtobufCAllocator *allocator, ProtobufCMessage **ret);
