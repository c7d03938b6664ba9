/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "shared/cleanup.h"
#include "shared/fd.h"

#define CHANNEL_MAGIC UINT32_C(0x316d6470) /* "pdm1" */

enum {
    /* The first descriptor of a message in memory is the memfd. */
    PACKET_FDS_MAX = CHANNEL_FDS_MAX + 1,
    SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE,
};

/* In front of every packet; both ends are this machine. */
typedef struct PacketHeader {
    uint32_t magic;
    uint32_t in_memory; /* 0: the data follows, 1: it lies in the first descriptor */
    uint32_t size;      /* of the data */
    uint32_t fds_count; /* without the memfd */
} PacketHeader;

typedef union PacketControl {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int) * PACKET_FDS_MAX)];
} PacketControl;

void channel_message_done(ChannelMessage *message)
{
    for (size_t i = 0; i < message->fds_count; i++)
        fd_close(&message->fds[i]);
    free(message->data);
    *message = (ChannelMessage){0};
}

/* A way to the socket through the directory's descriptor: it is short, however long the
 * directory's path. */
static int make_address(int dir_fd, const char *name, struct sockaddr_un *ret)
{
    int length;

    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    length = snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", dir_fd, name);
    return length < 0 || (size_t)length >= sizeof(ret->sun_path) ? -ENAMETOOLONG : 0;
}

static int open_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    return fd < 0 ? -errno : fd;
}

int channel_listen_at(int dir_fd, const char *name, int backlog)
{
    struct sockaddr_un address;
    AUTO_CLOSE int fd = -1;
    int r;

    r = make_address(dir_fd, name, &address);
    if (r < 0)
        return r;
    fd = open_socket();
    if (fd < 0)
        return fd;
    /* bind(2) makes the file with the socket's own mode, so that it never has a wider one. */
    if (fchmod(fd, 0600) < 0)
        return -errno;
    if (unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT)
        return -errno;
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, backlog) < 0)
        return -errno;
    return take_fd(&fd);
}

int channel_connect_at(int dir_fd, const char *name)
{
    struct sockaddr_un address;
    AUTO_CLOSE int fd = -1;
    int r;

    r = make_address(dir_fd, name, &address);
    if (r < 0)
        return r;
    fd = open_socket();
    if (fd < 0)
        return fd;
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    return take_fd(&fd);
}

int channel_accept(int listen_fd)
{
    AUTO_CLOSE int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct ucred peer;
    socklen_t size = sizeof(peer);

    if (fd < 0)
        return -errno;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return -errno;
    if (peer.uid != 0)
        return -EPERM;
    return take_fd(&fd);
}

/* ------------------------------------------------------------------------------- sending */

static int send_packet(int fd, const PacketHeader *header, const void *data, const int *fds,
                       size_t fds_count)
{
    struct iovec parts[2] = {
        {.iov_base = (void *)(uintptr_t)header, .iov_len = sizeof(*header)},
        {.iov_base = (void *)(uintptr_t)data, .iov_len = header->in_memory ? 0 : header->size},
    };
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    PacketControl control = {0};
    ssize_t sent;

    if (fds_count > 0) {
        struct cmsghdr *part;
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * fds_count);
        part = CMSG_FIRSTHDR(&message);
        part->cmsg_level = SOL_SOCKET;
        part->cmsg_type = SCM_RIGHTS;
        part->cmsg_len = CMSG_LEN(sizeof(int) * fds_count);
        memcpy(CMSG_DATA(part), fds, sizeof(int) * fds_count);
    }
    sent = TEMP_FAILURE_RETRY(sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT));
    if (sent < 0)
        return errno == ECONNRESET || errno == ENOTCONN ? -EPIPE : -errno;
    return 0;
}

int channel_send(int fd, const void *data, size_t size, const int *fds, size_t fds_count)
{
    PacketHeader header = {
        .magic = CHANNEL_MAGIC,
        .in_memory = size > CHANNEL_INLINE_MAX,
        .size = (uint32_t)size,
        .fds_count = (uint32_t)fds_count,
    };
    int all_fds[PACKET_FDS_MAX];
    AUTO_CLOSE int memory_fd = -1;
    size_t count = 0;

    if (size > CHANNEL_MESSAGE_MAX)
        return -EMSGSIZE;
    if (fds_count > CHANNEL_FDS_MAX)
        return -EINVAL;
    if (header.in_memory) {
        memory_fd = fd_sealed_memory("podmon-message", data, size);
        if (memory_fd < 0)
            return memory_fd;
        all_fds[count++] = memory_fd;
    }
    if (fds_count > 0)
        memcpy(all_fds + count, fds, sizeof(int) * fds_count);
    return send_packet(fd, &header, data, all_fds, count + fds_count);
}

/* ----------------------------------------------------------------------------- receiving */

/* A packet as it came; everything in it is still to be doubted. */
typedef struct Packet {
    PacketHeader header;
    void *data; /* malloc'ed; what came behind the header */
    size_t size;
    int fds[PACKET_FDS_MAX];
    size_t fds_count;
} Packet;

static void packet_done(Packet *packet)
{
    for (size_t i = 0; i < packet->fds_count; i++)
        fd_close(&packet->fds[i]);
    free(packet->data);
}

static void take_descriptors(struct msghdr *message, Packet *packet)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        packet->fds_count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(packet->fds, CMSG_DATA(part), packet->fds_count * sizeof(int));
    }
}

/* 1: a packet, 0: the peer has closed, or −errno. */
static int receive_packet(int fd, Packet *packet)
{
    PacketControl control;
    struct iovec parts[2];
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t length, room;

    /* Its length first, so that the memory for it is exactly as large. */
    length = TEMP_FAILURE_RETRY(recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT));
    if (length < 0)
        return errno == ECONNRESET ? 0 : -errno;
    room = length - (ssize_t)sizeof(PacketHeader);
    if (room < 0 || room > CHANNEL_INLINE_MAX)
        room = 0;
    packet->data = malloc((size_t)room + 1);
    if (!packet->data)
        return -ENOMEM;
    parts[0] = (struct iovec){.iov_base = &packet->header, .iov_len = sizeof(packet->header)};
    parts[1] = (struct iovec){.iov_base = packet->data, .iov_len = (size_t)room};
    message.msg_control = &control;
    /* Without the padding at the end, into which the kernel would put one descriptor more. */
    message.msg_controllen = CMSG_LEN(sizeof(packet->fds));
    length = TEMP_FAILURE_RETRY(recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT));
    if (length < 0)
        return errno == ECONNRESET ? 0 : -errno;
    take_descriptors(&message, packet);
    if (length == 0 && packet->fds_count == 0)
        return 0;
    if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || length < (ssize_t)sizeof(PacketHeader))
        return -EBADMSG;
    packet->size = (size_t)length - sizeof(PacketHeader);
    return 1;
}

static bool packet_is_valid(const Packet *packet)
{
    const PacketHeader *header = &packet->header;

    if (header->magic != CHANNEL_MAGIC || header->in_memory > 1 ||
        header->fds_count > CHANNEL_FDS_MAX ||
        packet->fds_count != header->fds_count + header->in_memory)
        return false;
    return header->in_memory ? packet->size == 0 && header->size <= CHANNEL_MESSAGE_MAX
                             : packet->size == header->size;
}

/* Puts the data out of the memfd in place of the packet's. Only a sealed one is read: it cannot be
 * cut or changed meanwhile, and reading it cannot block. */
static int read_memory(Packet *packet)
{
    size_t size = packet->header.size;
    int fd = packet->fds[0], seals = fcntl(fd, F_GET_SEALS);
    struct stat status;
    ssize_t count;
    void *data;

    if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &status) < 0 ||
        (uintmax_t)status.st_size != size)
        return -EBADMSG;
    data = malloc(size + 1);
    if (!data)
        return -ENOMEM;
    free(packet->data);
    packet->data = data;
    packet->size = size;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return -errno;
    count = fd_read_all(fd, data, size);
    if (count < 0)
        return (int)count;
    return (size_t)count == size ? 0 : -EBADMSG;
}

int channel_receive(int fd, ChannelMessage *ret)
{
    CLEANUP(packet_done) Packet packet = {.fds_count = 0};
    size_t first;
    int r = receive_packet(fd, &packet);

    if (r <= 0)
        return r;
    if (!packet_is_valid(&packet))
        return -EBADMSG;
    if (packet.header.in_memory) {
        r = read_memory(&packet);
        if (r < 0)
            return r;
    }
    first = packet.header.in_memory;
    *ret = (ChannelMessage){.size = packet.size, .fds_count = packet.header.fds_count};
    for (size_t i = 0; i < CHANNEL_FDS_MAX; i++)
        ret->fds[i] = i < ret->fds_count ? take_fd(&packet.fds[first + i]) : -1;
    ret->data = TAKE(packet.data);
    return 1;
}
