/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/channel.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "shared/fd.h"
#include "test/unit/scratch.h"
#include "test/unit/test.h"

#define MESSAGE(name) CLEANUP(channel_message_done) ChannelMessage name = {0}

typedef struct Pair {
    int one, two;
} Pair;

static Pair pair_make(void)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
        abort();
    return (Pair){fds[0], fds[1]};
}

static void pair_done(Pair *pair)
{
    fd_close(&pair->one);
    fd_close(&pair->two);
}

#define PAIR(name) CLEANUP(pair_done) Pair name = pair_make()

static int count_fds(void)
{
    int count = 0;

    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    return count;
}

static bool is_same_file(int a, int b)
{
    struct stat first, second;

    return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_ino == second.st_ino &&
           first.st_dev == second.st_dev;
}

TEST(connect_through_a_long_directory)
{
    SCRATCH(scratch);
    AUTO_CLOSE int dir_fd = -1;
    AUTO_CLOSE int listen_fd = -1;
    AUTO_CLOSE int client = -1;
    AUTO_CLOSE int server = -1;
    struct stat status;
    char name[201];

    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    dir_fd = file_open_directory_at(scratch.fd, name, 0700);
    CHECK(dir_fd >= 0);
    CHECK_EQ(channel_connect_at(dir_fd, "control"), -ENOENT);
    listen_fd = channel_listen_at(dir_fd, "control", 8);
    CHECK(listen_fd >= 0);
    CHECK(fstatat(dir_fd, "control", &status, 0) == 0);
    CHECK_EQ(status.st_mode & 07777, 0600);
    CHECK_EQ(channel_accept(listen_fd), -EAGAIN);
    client = channel_connect_at(dir_fd, "control");
    CHECK(client >= 0);
    /* What is sent before it is accepted arrives. */
    CHECK_EQ(channel_send(client, "early", 5, NULL, 0), 0);
    server = channel_accept(listen_fd);
    CHECK(server >= 0);
    CHECK(fcntl(server, F_GETFL) & O_NONBLOCK);
    CHECK(fcntl(server, F_GETFD) & FD_CLOEXEC);
    {
        MESSAGE(message);
        CHECK_EQ(channel_receive(server, &message), 1);
        CHECK_EQ(message.size, 5);
        CHECK(memcmp(message.data, "early", 5) == 0);
        CHECK_EQ(channel_receive(client, &message), -EAGAIN);
    }
    fd_close(&listen_fd);
    CHECK_EQ(channel_connect_at(dir_fd, "control"), -ECONNREFUSED);
    listen_fd = channel_listen_at(dir_fd, "control", 8);
    CHECK(listen_fd >= 0);
    CHECK_EQ(channel_connect_at(dir_fd, name), -ENAMETOOLONG);
}

TEST(full_backlog_does_not_wait)
{
    SCRATCH(scratch);
    AUTO_CLOSE int listen_fd = channel_listen_at(scratch.fd, "s", 1);
    int clients[16], count = 0, r = 0;

    CHECK(listen_fd >= 0);
    while (count < 16 && (r = channel_connect_at(scratch.fd, "s")) >= 0)
        clients[count++] = r;
    CHECK_EQ(r, -EAGAIN);
    while (count > 0)
        fd_close(&clients[--count]);
}

/* Connects as somebody else. */
static int call_as_nobody(const Scratch *scratch)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", scratch->path);
    return setuid(65534) == 0 &&
                   connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0
               ? 0
               : 1;
}

TEST(only_root_may_call)
{
    SCRATCH(scratch);
    AUTO_CLOSE int listen_fd = channel_listen_at(scratch.fd, "s", 1);
    int status;
    pid_t child;

    if (geteuid() != 0)
        SKIP("this needs root, to become somebody else");
    CHECK(fchmod(scratch.fd, 0755) == 0 && fchmodat(scratch.fd, "s", 0666, 0) == 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0)
        _exit(call_as_nobody(&scratch));
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK_EQ(channel_accept(listen_fd), -EPERM);
    CHECK_EQ(channel_accept(listen_fd), -EAGAIN);
}

TEST(sizes_around_the_packet)
{
    static const size_t sizes[] = {0,
                                   1,
                                   CHANNEL_INLINE_MAX - 1,
                                   CHANNEL_INLINE_MAX,
                                   CHANNEL_INLINE_MAX + 1,
                                   40 * 1024 * 1024,
                                   CHANNEL_MESSAGE_MAX};
    AUTO_FREE unsigned char *data = malloc(CHANNEL_MESSAGE_MAX);
    int before = count_fds();

    CHECK(data);
    for (size_t i = 0; i < CHANNEL_MESSAGE_MAX; i++)
        data[i] = (unsigned char)(i * 31 >> 3);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        PAIR(pair);
        MESSAGE(message);
        CHECK_EQ(channel_send(pair.one, data, sizes[i], NULL, 0), 0);
        CHECK_EQ(channel_receive(pair.two, &message), 1);
        CHECK_EQ(message.size, sizes[i]);
        CHECK_EQ(message.fds_count, 0);
        CHECK(memcmp(message.data, data, sizes[i]) == 0);
        CHECK_EQ(channel_receive(pair.two, &message), -EAGAIN);
    }
    {
        PAIR(pair);
        CHECK_EQ(channel_send(pair.one, data, (size_t)CHANNEL_MESSAGE_MAX + 1, NULL, 0), -EMSGSIZE);
    }
    CHECK_EQ(count_fds(), before);
}

/* `size` bytes and as many descriptors as may be sent. */
static void pass_descriptors(size_t size)
{
    PAIR(pair);
    MESSAGE(message);
    AUTO_FREE char *data = calloc(1, size);
    int fds[CHANNEL_FDS_MAX + 1];

    CHECK(data);
    for (int i = 0; i <= CHANNEL_FDS_MAX; i++)
        fds[i] = memfd_create("passed", MFD_CLOEXEC);
    CHECK_EQ(channel_send(pair.one, data, size, fds, CHANNEL_FDS_MAX + 1), -EINVAL);
    CHECK_EQ(channel_send(pair.one, data, size, fds, CHANNEL_FDS_MAX), 0);
    CHECK_EQ(channel_receive(pair.two, &message), 1);
    CHECK_EQ(message.size, size);
    CHECK_EQ(message.fds_count, CHANNEL_FDS_MAX);
    for (int i = 0; i < CHANNEL_FDS_MAX; i++) {
        CHECK(fcntl(message.fds[i], F_GETFD) & FD_CLOEXEC);
        CHECK(is_same_file(message.fds[i], fds[i]));
    }
    for (int i = 0; i <= CHANNEL_FDS_MAX; i++)
        fd_close(&fds[i]);
}

TEST(descriptors_come_along)
{
    int before = count_fds();

    pass_descriptors(3);
    pass_descriptors(CHANNEL_INLINE_MAX + 1);
    CHECK_EQ(count_fds(), before);
}

TEST(taken_descriptors_stay)
{
    PAIR(pair);
    AUTO_CLOSE int file = memfd_create("passed", MFD_CLOEXEC);
    AUTO_CLOSE int taken = -1;
    ChannelMessage message;

    CHECK_EQ(channel_send(pair.one, "", 0, &file, 1), 0);
    CHECK_EQ(channel_receive(pair.two, &message), 1);
    taken = take_fd(&message.fds[0]);
    channel_message_done(&message);
    CHECK(is_same_file(taken, file));
}

TEST(peer_is_gone_or_does_not_read)
{
    static char block[CHANNEL_INLINE_MAX];
    PAIR(pair);
    MESSAGE(message);
    int r = 0;

    for (int i = 0; i < 1000 && r == 0; i++)
        r = channel_send(pair.one, block, sizeof(block), NULL, 0);
    CHECK_EQ(r, -EAGAIN);
    fd_close(&pair.two);
    CHECK_EQ(channel_send(pair.one, "x", 1, NULL, 0), -EPIPE);
    CHECK_EQ(channel_receive(pair.one, &message), 0);
    CHECK_EQ(channel_receive(pair.one, &message), 0);
}

/* The header as channel.c has it. */
typedef struct Header {
    uint32_t magic, in_memory, size, fds_count;
} Header;

enum { MAGIC = 0x316d6470 };

/* Sends what our own side never would. */
static void send_raw(int fd, const void *data, size_t size, const int *fds, size_t fds_count)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * 64)];
    } control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (fds_count > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * fds_count);
        control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int) * fds_count),
                                          .cmsg_level = SOL_SOCKET,
                                          .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * fds_count);
    }
    if (sendmsg(fd, &message, MSG_NOSIGNAL) < 0)
        perror("sendmsg");
}

static int receive_raw(const void *data, size_t size, const int *fds, size_t fds_count)
{
    PAIR(pair);
    MESSAGE(message);

    send_raw(pair.one, data, size, fds, fds_count);
    return channel_receive(pair.two, &message);
}

TEST(garbage_is_refused)
{
    static const Header headers[] = {
        {0, 0, 0, 0},     {MAGIC, 0, 1, 0},          {MAGIC, 0, 0, 1},
        {MAGIC, 1, 0, 0}, {MAGIC, 2, 0, 0},          {MAGIC, 0, UINT32_MAX, 0},
        {MAGIC, 0, 0, 9}, {MAGIC, 0, 0, UINT32_MAX}, {MAGIC, UINT32_MAX, 0, 1},
    };
    static char big[CHANNEL_INLINE_MAX + sizeof(Header) + 1];
    Header good = {MAGIC, 0, 0, 0};
    int before = count_fds();

    CHECK_EQ(receive_raw(&good, sizeof(good), NULL, 0), 1);
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        CHECK_EQ(receive_raw(&headers[i], sizeof(headers[i]), NULL, 0), -EBADMSG);
    for (size_t size = 1; size < sizeof(good); size++)
        CHECK_EQ(receive_raw(&good, size, NULL, 0), -EBADMSG);
    good.size = CHANNEL_INLINE_MAX + 1;
    memcpy(big, &good, sizeof(good));
    CHECK_EQ(receive_raw(big, sizeof(big), NULL, 0), -EBADMSG);
    CHECK_EQ(count_fds(), before);
}

TEST(descriptors_of_garbage_are_closed)
{
    Header header = {MAGIC, 0, 0, 0};
    int fds[20], before = count_fds();

    for (int i = 0; i < 20; i++)
        fds[i] = STDIN_FILENO;
    for (size_t count = 1; count <= 20; count++) {
        header.fds_count = 0;
        CHECK_EQ(receive_raw(&header, sizeof(header), fds, count), -EBADMSG);
        CHECK_EQ(receive_raw(&header, 3, fds, count), -EBADMSG);
        CHECK_EQ(receive_raw("", 0, fds, count), -EBADMSG);
        header.fds_count = (uint32_t)count;
        CHECK_EQ(receive_raw(&header, sizeof(header), fds, count),
                 count <= CHANNEL_FDS_MAX ? 1 : -EBADMSG);
    }
    CHECK_EQ(count_fds(), before);
}

TEST(memory_has_to_be_sealed_and_whole)
{
    AUTO_CLOSE int loose = memfd_create("loose", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    AUTO_CLOSE int whole = fd_sealed_memory("whole", "12345", 5);
    Header header = {MAGIC, 1, 5, 0};
    int ends[2];

    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    CHECK_EQ(write(loose, "12345", 5), 5);
    CHECK_EQ(receive_raw(&header, sizeof(header), &whole, 1), 1);
    CHECK_EQ(receive_raw(&header, sizeof(header), &loose, 1), -EBADMSG);
    CHECK_EQ(receive_raw(&header, sizeof(header), &ends[0], 1), -EBADMSG);
    header.size = 6;
    CHECK_EQ(receive_raw(&header, sizeof(header), &whole, 1), -EBADMSG);
    header.size = 4;
    CHECK_EQ(receive_raw(&header, sizeof(header), &whole, 1), -EBADMSG);
    fd_close(&ends[0]);
    fd_close(&ends[1]);
}

TEST_MAIN
