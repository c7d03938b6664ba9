/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "shared/cleanup.h"
#include "test/unit/test.h"

TEST(close_keeps_errno_and_forgets)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), copy = fd;

    CHECK(fd >= 0);
    errno = ENOTTY;
    fd_close(&fd);
    CHECK_EQ(errno, ENOTTY);
    CHECK_EQ(fd, -1);
    CHECK(fcntl(copy, F_GETFD) < 0);
    fd_close(&fd);
}

TEST(write_and_read_whole)
{
    static char data[300 * 1024], back[sizeof(data) + 1];
    int ends[2];
    pid_t child;

    memset(data, 'd', sizeof(data));
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0)
        _exit(fd_write_all(ends[1], data, sizeof(data)) == 0 ? 0 : 1);
    fd_close(&ends[1]);
    CHECK_EQ(fd_read_all(ends[0], back, sizeof(back)), sizeof(data));
    CHECK(memcmp(data, back, sizeof(data)) == 0);
    CHECK_EQ(fd_read_all(ends[0], back, sizeof(back)), 0);
    fd_close(&ends[0]);
    CHECK_EQ(waitpid(child, NULL, 0), child);
    CHECK_EQ(fd_read_all(-1, back, 1), -EBADF);
    CHECK_EQ(fd_write_all(-1, back, 1), -EBADF);
}

TEST(nonblocking_on_and_off)
{
    char byte;
    int ends[2];

    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    CHECK_EQ(fd_set_nonblocking(ends[0], true), 0);
    CHECK_EQ(fd_read_all(ends[0], &byte, 1), -EAGAIN);
    CHECK_EQ(fd_set_nonblocking(ends[0], false), 0);
    CHECK_EQ(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
    CHECK_EQ(fd_set_nonblocking(-1, true), -EBADF);
    fd_close(&ends[0]);
    fd_close(&ends[1]);
}

TEST(pidfd_signals_until_reaped)
{
    AUTO_CLOSE int pidfd = -1;
    struct pollfd waiting;
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        (void)pause();
        _exit(0);
    }
    pidfd = fd_open_pid(child);
    CHECK(pidfd >= 0);
    CHECK(fcntl(pidfd, F_GETFD) & FD_CLOEXEC);
    CHECK_EQ(fd_signal(pidfd, 0), 0);
    CHECK_EQ(fd_signal(pidfd, SIGKILL), 0);
    waiting = (struct pollfd){.fd = pidfd, .events = POLLIN};
    CHECK_EQ(poll(&waiting, 1, 5000), 1);
    CHECK_EQ(waitpid(child, NULL, 0), child);
    CHECK_EQ(fd_signal(pidfd, SIGKILL), -ESRCH);
    CHECK_EQ(fd_open_pid(child), -ESRCH);
}

TEST(sealed_memory_cannot_change)
{
    AUTO_CLOSE int fd = fd_sealed_memory("test", "hello", 5);
    char back[8] = "";

    CHECK(fd >= 0);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK_EQ(fd_read_all(fd, back, sizeof(back)), 5);
    CHECK_STR(back, "hello");
    CHECK(pwrite(fd, "x", 1, 0) < 0);
    CHECK_EQ(errno, EPERM);
    CHECK(ftruncate(fd, 1) < 0);
    CHECK(ftruncate(fd, 100) < 0);
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0);
}

TEST(signals_arrive_as_data)
{
    struct signalfd_siginfo info;
    AUTO_CLOSE int fd = -1;
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGUSR1);
    fd = fd_open_signals(&set);
    CHECK(fd >= 0);
    CHECK(raise(SIGUSR1) == 0);
    CHECK_EQ(read(fd, &info, sizeof(info)), sizeof(info));
    CHECK_EQ(info.ssi_signo, SIGUSR1);
    CHECK(read(fd, &info, sizeof(info)) < 0);
    CHECK_EQ(errno, EAGAIN);
}

TEST_MAIN
