/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/file.h"
#include "test/unit/test.h"

static int saved_stderr = -1;

/* Standard error becomes a pipe; the read end is returned. */
static int capture(void)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0 ||
        (saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10)) < 0)
        return -1;
    /* The program that logs has an ordinary, blocking standard error. */
    (void)fd_set_nonblocking(ends[1], false);
    (void)dup2(ends[1], STDERR_FILENO);
    fd_close(&ends[1]);
    return ends[0];
}

static void release(void)
{
    (void)dup2(saved_stderr, STDERR_FILENO);
    fd_close(&saved_stderr);
}

/* What one call has written. */
static const char *take(int fd)
{
    static char text[PIPE_BUF * 2];
    ssize_t size = read(fd, text, sizeof(text) - 1);

    text[size > 0 ? size : 0] = '\0';
    return text;
}

TEST(lines_on_standard_error)
{
    int fd = capture();

    CHECK(fd >= 0);
    log_open("tester", LOG_LEVEL_INFO);
    errno = EXDEV;
    log_warning("disk %s is %d%% full", "a\nb", 97);
    CHECK_EQ(errno, EXDEV);
    CHECK_STR(take(fd), "tester: warning: disk a?b is 97% full\n");
    log_debug("not this");
    CHECK_STR(take(fd), "");
    log_set_pod("0123456789abcdef");
    log_error("x");
    CHECK_STR(take(fd), "tester 0123456789ab: error: x\n");
    log_set_pod(NULL);
    log_info("y");
    CHECK_STR(take(fd), "tester: info: y\n");
    release();
    fd_close(&fd);
}

TEST(text_is_cut)
{
    char big[8192];
    int fd = capture();

    CHECK(fd >= 0);
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    log_open("tester", LOG_LEVEL_INFO);
    log_notice("%s", big);
    CHECK_EQ(strlen(take(fd)), strlen("tester: notice: ") + 2047 + strlen("\n"));
    release();
    fd_close(&fd);
}

TEST(full_pipe_does_not_block)
{
    uint64_t before = clock_monotonic();
    int fd = capture();

    CHECK(fd >= 0);
    log_open("tester", LOG_LEVEL_INFO);
    for (int i = 0; i < 5000; i++)
        log_info("a line that fills the pipe, number %d", i);
    CHECK(clock_monotonic() - before < 20 * CLOCK_SECOND);
    release();
    fd_close(&fd);
}

/* In a child with a mount namespace of its own, where /run holds nothing but our journal. 0: the
 * entry is as it should be, 77: no such namespace here. */
static int log_to_own_journal(void)
{
    static const char expected[] =
        "MESSAGE=two words\nPRIORITY=3\nSYSLOG_IDENTIFIER=tester\n"
        "PODMON_POD=0123456789abcdef\n";
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket"};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    char stream[64], entry[4096];
    struct stat status;
    ssize_t size;

    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0)
        return 77;
    if (file_make_directories("/run/systemd/journal", 0755) < 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        fstat(STDERR_FILENO, &status) < 0)
        return 1;
    (void)snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)status.st_dev,
                   (uintmax_t)status.st_ino);
    (void)setenv("JOURNAL_STREAM", stream, 1);
    log_open("tester", LOG_LEVEL_INFO);
    log_set_pod("0123456789abcdef");
    log_error("two words");
    size = recv(fd, entry, sizeof(entry), 0);
    return size == (ssize_t)strlen(expected) && memcmp(entry, expected, strlen(expected)) == 0 ? 0
                                                                                               : 1;
}

TEST(entries_in_the_journal)
{
    pid_t child = fork();
    int status;

    CHECK(child >= 0);
    if (child == 0)
        _exit(log_to_own_journal());
    CHECK_EQ(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        SKIP("no mount namespace can be made here");
    CHECK_EQ(status, 0);
}

TEST_MAIN
