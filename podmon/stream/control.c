/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/stream/control.h"

#include <errno.h>
#include <string.h>

#include "shared/channel.h"

int control_send(int fd, const ControlMessage *message)
{
    int fds[CONTROL_FDS];
    size_t count = 0;

    for (int i = 0; i < CONTROL_FDS; i++)
        if (message->fds[i] >= 0)
            fds[count++] = message->fds[i];
    return channel_send(fd, message, sizeof(*message), fds, count);
}

int control_receive(int fd, ControlMessage *ret)
{
    ChannelMessage packet;
    size_t count = 0;
    int r = channel_receive(fd, &packet);

    if (r <= 0)
        return r;
    if (packet.size != sizeof(*ret)) {
        channel_message_done(&packet);
        return -EBADMSG;
    }
    memcpy(ret, packet.data, sizeof(*ret));
    ret->text[sizeof(ret->text) - 1] = '\0';
    for (int i = 0; i < CONTROL_FDS; i++) {
        if (ret->fds[i] < 0 || count >= packet.fds_count) {
            ret->fds[i] = -1;
            continue;
        }
        ret->fds[i] = packet.fds[count];
        packet.fds[count++] = -1;
    }
    channel_message_done(&packet);
    return 1;
}
