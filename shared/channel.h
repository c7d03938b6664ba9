/* SPDX-License-Identifier: Apache-2.0 */
/* Messages with descriptors over SOCK_SEQPACKET: one packet is one message. What does not fit in a
 * packet (CHANNEL_INLINE_MAX) travels in a sealed memfd beside it, so that a send never stops half
 * way. The peer is root on this host (the socket lies in a 0700 directory), and yet every length
 * and count is checked. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

enum {
    CHANNEL_INLINE_MAX = 64 * 1024,
    CHANNEL_MESSAGE_MAX = 48 * 1024 * 1024, /* two ExecSync outputs of 16 MiB, and room */
    CHANNEL_FDS_MAX = 8,
};

typedef struct ChannelMessage {
    void *data; /* malloc'ed */
    size_t size;
    int fds[CHANNEL_FDS_MAX]; /* owned by the message until taken (set to −1) */
    size_t fds_count;
} ChannelMessage;

void channel_message_done(ChannelMessage *message);

/* A listening socket at `name` inside the directory, mode 0600; an older one is replaced. Works for
 * directories whose path is longer than sun_path. fd (non-blocking) or −errno. */
int channel_listen_at(int dir_fd, const char *name, int backlog);

/* Connects; never waits. fd (non-blocking), −ECONNREFUSED or −ENOENT: nobody listens;
 * −EAGAIN: the backlog is full. */
int channel_connect_at(int dir_fd, const char *name);

/* fd (non-blocking), −EAGAIN, or −errno; −EPERM for a peer that is not root (SO_PEERCRED). */
int channel_accept(int listen_fd);

/* Sends one message with copies of `fds`. 0; −EAGAIN: the peer does not read; −EPIPE: it is gone;
 * −EMSGSIZE above CHANNEL_MESSAGE_MAX. */
int channel_send(int fd, const void *data, size_t size, const int *fds, size_t fds_count);

/* 1: *ret is a message, the caller calls channel_message_done; 0: the peer has closed; −EAGAIN;
 * −EBADMSG: not a message of this protocol. */
int channel_receive(int fd, ChannelMessage *ret);
