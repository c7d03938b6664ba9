/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/message.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "podmon.pb-c.h"
#include "shared/cleanup.h"
#include "test/unit/test.h"

/* A request with an argument of `size` bytes goes over a socket pair and comes back. */
static void send_and_receive(size_t size)
{
    Podmon__ExecSync exec = PODMON__EXEC_SYNC__INIT;
    AUTO_FREE char *argument = malloc(size + 1);
    char *argv[] = {(char[]){"sh"}, argument};
    ProtobufCMessage *back = NULL;
    const Podmon__ExecSync *received;
    int fds[2];

    CHECK(argument);
    memset(argument, 'a', size);
    argument[size] = '\0';
    exec.n_argv = 2;
    exec.argv = argv;
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    CHECK_EQ(message_send(fds[0], &exec.base, NULL, 0), 0);
    CHECK_EQ(message_receive(fds[1], &podmon__exec_sync__descriptor, NULL, &back), 1);
    received = (const Podmon__ExecSync *)back;
    CHECK_EQ(received->n_argv, 2);
    CHECK_STR(received->argv[0], "sh");
    CHECK(strcmp(received->argv[1], argument) == 0);
    protobuf_c_message_free_unpacked(back, NULL);
    CHECK_EQ(message_receive(fds[1], &podmon__exec_sync__descriptor, NULL, &back), -EAGAIN);
    (void)close(fds[0]);
    CHECK_EQ(message_receive(fds[1], &podmon__exec_sync__descriptor, NULL, &back), 0);
    (void)close(fds[1]);
}

TEST(small_message)
{
    send_and_receive(0);
}

TEST(large_message)
{
    send_and_receive(16 * 1024 * 1024);
}

TEST(descriptors_in_the_envelope)
{
    Podmon__StopPod stop = PODMON__STOP_POD__INIT;
    AUTO_CLOSE int file = memfd_create("passed", MFD_CLOEXEC);
    ChannelMessage envelope = {0};
    ProtobufCMessage *back = NULL;
    int fds[2];

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    CHECK_EQ(message_send(fds[0], &stop.base, &file, 1), 0);
    CHECK_EQ(message_receive(fds[1], &podmon__stop_pod__descriptor, &envelope, &back), 1);
    CHECK_EQ(envelope.fds_count, 1);
    CHECK(fcntl(envelope.fds[0], F_GETFD) >= 0);
    CHECK(!envelope.data && envelope.size == 0);
    channel_message_done(&envelope);
    protobuf_c_message_free_unpacked(back, NULL);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

TEST(bytes_that_are_no_message)
{
    ProtobufCMessage *back = NULL;
    int fds[2];

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    CHECK_EQ(channel_send(fds[0], "\xff\xff\xff", 3, NULL, 0), 0);
    CHECK_EQ(message_receive(fds[1], &podmon__exec_sync__descriptor, NULL, &back), -EBADMSG);
    CHECK(!back);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

TEST(copies_are_deep)
{
    Podmon__Pair pair = PODMON__PAIR__INIT;
    char key[] = "key", value[] = "value";
    ProtobufCMessage *copy;

    pair.key = key;
    pair.value = value;
    copy = message_copy(&pair.base);
    CHECK(copy);
    key[0] = 'x';
    CHECK_STR(((const Podmon__Pair *)copy)->key, "key");
    CHECK_STR(((const Podmon__Pair *)copy)->value, "value");
    protobuf_c_message_free_unpacked(copy, NULL);
}

TEST_MAIN
