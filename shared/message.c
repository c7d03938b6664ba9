/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/message.h"

#include <errno.h>

#include "shared/cleanup.h"

/* One byte at least, so that NULL says that memory ran out. */
static int pack(const ProtobufCMessage *message, size_t limit, uint8_t **ret_data, size_t *ret_size)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *data;

    if (size > limit)
        return -EMSGSIZE;
    data = malloc(size + 1);
    if (!data)
        return -ENOMEM;
    *ret_size = protobuf_c_message_pack(message, data);
    *ret_data = data;
    return 0;
}

int message_send(int fd, const ProtobufCMessage *message, const int *fds, size_t fds_count)
{
    AUTO_FREE uint8_t *data = NULL;
    size_t size = 0;
    int r = pack(message, CHANNEL_MESSAGE_MAX, &data, &size);

    return r < 0 ? r : channel_send(fd, data, size, fds, fds_count);
}

int message_receive(int fd, const ProtobufCMessageDescriptor *descriptor, ChannelMessage *envelope,
                    ProtobufCMessage **ret)
{
    CLEANUP(channel_message_done) ChannelMessage received = {0};
    ProtobufCMessage *message;
    int r = channel_receive(fd, &received);

    if (r <= 0)
        return r;
    message = protobuf_c_message_unpack(descriptor, NULL, received.size, received.data);
    if (!message)
        return -EBADMSG;
    *ret = message;
    if (envelope) {
        *envelope = received;
        envelope->data = NULL;
        envelope->size = 0;
        received.fds_count = 0;
    }
    return 1;
}

ProtobufCMessage *message_copy(const ProtobufCMessage *message)
{
    AUTO_FREE uint8_t *data = NULL;
    size_t size = 0;

    if (pack(message, SIZE_MAX - 1, &data, &size) < 0)
        return NULL;
    return protobuf_c_message_unpack(message->descriptor, NULL, size, data);
}
