/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/record.h"

#include <endian.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "shared/cleanup.h"

enum { RECORD_MAGIC_SIZE = 8 };

static const char record_magic[RECORD_MAGIC_SIZE] = {'p', 'o', 'd', 'm', 'o', 'n', 'R', '1'};

/* Little-endian on the disk; no padding. */
typedef struct RecordHeader {
    char magic[RECORD_MAGIC_SIZE];
    uint32_t size; /* of the message */
    uint32_t crc;  /* of the message */
    uint64_t kind; /* which message it is */
} RecordHeader;

_Static_assert(sizeof(RecordHeader) == 24, "the header is the same on every machine");

/* CRC-32 as in zlib and Ethernet, half a byte at a time: records are small, and so is this. */
static uint32_t crc32_of(const uint8_t *data, size_t size)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        crc = (crc >> 4) ^ table[crc & 0xf];
        crc = (crc >> 4) ^ table[crc & 0xf];
    }
    return ~crc;
}

/* FNV-1a of the message's full name: a record of another kind is no record of this one, even
 * where its bytes would decode. */
static uint64_t kind_of(const ProtobufCMessageDescriptor *descriptor)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (const char *byte = descriptor->name; *byte; byte++)
        hash = (hash ^ (uint8_t)*byte) * UINT64_C(0x100000001b3);
    return hash;
}

int record_write_at(int dir_fd, const char *name, const ProtobufCMessage *message, mode_t mode,
                    FileSync sync)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    AUTO_FREE uint8_t *record = NULL;
    RecordHeader header;

    if (size > RECORD_SIZE_MAX)
        return -EFBIG;
    record = malloc(sizeof(header) + size);
    if (!record)
        return -ENOMEM;
    (void)protobuf_c_message_pack(message, record + sizeof(header));
    memcpy(header.magic, record_magic, sizeof(record_magic));
    header.size = htole32((uint32_t)size);
    header.crc = htole32(crc32_of(record + sizeof(header), size));
    header.kind = htole64(kind_of(message->descriptor));
    memcpy(record, &header, sizeof(header));
    return file_write_at(dir_fd, name, record, sizeof(header) + size, mode, sync);
}

int record_read_at(int dir_fd, const char *name, const ProtobufCMessageDescriptor *descriptor,
                   ProtobufCAllocator *allocator, ProtobufCMessage **ret)
{
    AUTO_FREE char *record = NULL;
    size_t size = 0;
    RecordHeader header;
    const uint8_t *data;
    ProtobufCMessage *message;
    int r;

    r = file_read_at(dir_fd, name, sizeof(header) + RECORD_SIZE_MAX, &record, &size);
    if (r == -EFBIG)
        return -EBADMSG;
    if (r < 0)
        return r;
    if (size < sizeof(header))
        return -EBADMSG;
    memcpy(&header, record, sizeof(header));
    data = (const uint8_t *)record + sizeof(header);
    size -= sizeof(header);
    if (memcmp(header.magic, record_magic, sizeof(record_magic)) != 0 ||
        le64toh(header.kind) != kind_of(descriptor) || le32toh(header.size) != size ||
        le32toh(header.crc) != crc32_of(data, size))
        return -EBADMSG;
    message = protobuf_c_message_unpack(descriptor, allocator, size, data);
    if (!message)
        return -EBADMSG;
    *ret = message;
    return 0;
}
