/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/fd.h"
#include "shared/id.h"

enum {
    LOG_TEXT_MAX = 2048,
    LOG_ENTRY_MAX = LOG_TEXT_MAX + 256, /* with its fields; below PIPE_BUF */
};

static const struct sockaddr_un journal_address = {
    .sun_family = AF_UNIX,
    .sun_path = "/run/systemd/journal/socket",
};

static struct {
    const char *program;
    LogLevel most;
    int journal_fd; /* −1: entries go to standard error */
    char pod[ID_SIZE];
} log_state = {.program = "podmon", .most = LOG_LEVEL_INFO, .journal_fd = -1};

/* systemd.exec(5): JOURNAL_STREAM is device and inode of the stream to the journal. */
static bool stream_is_named(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char expected[64];
    struct stat status;

    if (!stream || fstat(STDERR_FILENO, &status) < 0)
        return false;
    (void)snprintf(expected, sizeof(expected), "%ju:%ju", (uintmax_t)status.st_dev,
                   (uintmax_t)status.st_ino);
    return strcmp(stream, expected) == 0;
}

/* A pod's podmon has a clean environment and yet the dispatcher's standard error. */
static bool stream_is_connected(void)
{
    struct sockaddr_un peer = {0};
    socklen_t length = sizeof(peer) - 1;

    return getpeername(STDERR_FILENO, (struct sockaddr *)&peer, &length) == 0 &&
           peer.sun_family == AF_UNIX && strcmp(peer.sun_path, "/run/systemd/journal/stdout") == 0;
}

void log_open(const char *program, LogLevel most)
{
    log_state.program = program;
    log_state.most = most;
    fd_close(&log_state.journal_fd);
    if (stream_is_named() || stream_is_connected())
        log_state.journal_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

void log_set_pod(const char *pod_id)
{
    (void)snprintf(log_state.pod, sizeof(log_state.pod), "%s", pod_id ? pod_id : "");
}

/* https://systemd.io/JOURNAL_NATIVE_PROTOCOL/: lines of NAME=value, which suits as no value can
 * have a line end in it. */
static bool send_to_journal(LogLevel level, const char *text)
{
    char entry[LOG_ENTRY_MAX];
    int size;

    if (log_state.journal_fd < 0)
        return false;
    size = snprintf(entry, sizeof(entry), "MESSAGE=%s\nPRIORITY=%d\nSYSLOG_IDENTIFIER=%s\n%s%s%s",
                    text, (int)level, log_state.program, log_state.pod[0] ? "PODMON_POD=" : "",
                    log_state.pod, log_state.pod[0] ? "\n" : "");
    if (size < 0 || (size_t)size >= sizeof(entry))
        return false;
    return sendto(log_state.journal_fd, entry, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL,
                  (const struct sockaddr *)&journal_address, sizeof(journal_address)) == size;
}

/* A pipe that polls writable takes PIPE_BUF bytes without blocking; a reader that does not read
 * loses lines instead of stopping us. */
static void send_to_stderr(LogLevel level, const char *text)
{
    static const char *const names[] = {
        [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_NOTICE] = "notice",
        [LOG_LEVEL_INFO] = "info",   [LOG_LEVEL_DEBUG] = "debug",
    };
    struct pollfd poll_fd = {.fd = STDERR_FILENO, .events = POLLOUT};
    char line[LOG_ENTRY_MAX];
    int size;

    size = snprintf(line, sizeof(line), "%s%s%.*s: %s: %s\n", log_state.program,
                    log_state.pod[0] ? " " : "", ID_SHORT, log_state.pod, names[level], text);
    if (size < 0 || (size_t)size >= sizeof(line) || poll(&poll_fd, 1, 0) != 1)
        return;
    (void)!write(STDERR_FILENO, line, (size_t)size);
}

void log_write(LogLevel level, const char *format, ...)
{
    int error = errno;
    char raw[LOG_TEXT_MAX];
    va_list arguments;

    if (level > log_state.most)
        return;
    va_start(arguments, format);
    (void)vsnprintf(raw, sizeof(raw), format, arguments);
    va_end(arguments);
    for (char *byte = raw; *byte; byte++)
        if ((unsigned char)*byte < 0x20 || *byte == 0x7f)
            *byte = '?';
    if (!send_to_journal(level, raw))
        send_to_stderr(level, raw);
    errno = error;
}
