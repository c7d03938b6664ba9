/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "shared/clock.h"
#include "shared/fd.h"
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

TEST_MAIN
