/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "podmon/unlogged.h"
#include "shared/cleanup.h"
#include "shared/file.h"
#include "test/unit/scratch.h"
#include "test/unit/test.h"

enum { LINES = 1500, KILLS = 150, STEPS_MAX = 6000, FEED_SIZE = 300 };

typedef struct Room {
    const Scratch *scratch;
    int fifo; /* both ends, so that it never ends */
} Room;

static Room room_open(const Scratch *scratch)
{
    Room room = {scratch, -1};

    if (mkfifoat(scratch->fd, "fifo", 0600) == 0)
        room.fifo = openat(scratch->fd, "fifo", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    return room;
}

/* What podmon does, until there is nothing to read. */
static void pump(const Room *room, bool resume, bool traced)
{
    LogFile log = LOG_FILE_NONE;
    Failure why;
    Unlogged *unlogged = unlogged_open(room->scratch->fd, resume);

    if (!unlogged || logfile_open(&log, room->scratch->path, "log", &why) < 0)
        _exit(2);
    if (traced)
        (void)raise(SIGSTOP);
    unlogged_recover(unlogged, &log);
    unlogged_write(&unlogged, unlogged->stream, &log, false);
    while (unlogged_read(&unlogged, 0, room->fifo) > 0)
        unlogged_write(&unlogged, 0, &log, false);
    (void)unlogged_close(unlogged);
    logfile_close(&log);
}

/* Some of the next numbers into the FIFO; lines break anywhere. Little at a time, because every
 * byte that memset(3) sets may be an instruction. */
static void feed(const Room *room, unsigned *next, char *rest)
{
    for (size_t fed = 0; fed < FEED_SIZE; fed += 7) {
        ssize_t size;
        if (!*rest && *next > LINES)
            return;
        if (!*rest)
            (void)sprintf(rest, "%u and some more of the line\n", (*next)++);
        size = write(room->fifo, rest, strlen(rest) < 7 ? strlen(rest) : 7);
        if (size <= 0)
            return;
        memmove(rest, rest + size, strlen(rest + size) + 1);
    }
}

static bool log_is_whole(const Room *room)
{
    AUTO_FREE char *text = NULL;
    char *rest, *line;
    unsigned next = 1;

    if (file_read_at(room->scratch->fd, "log", 1 << 24, &text, NULL) < 0)
        return false;
    rest = text;
    while ((line = strsep(&rest, "\n")) && *line) {
        const char *content = strstr(line, " F ");
        char expected[64];
        (void)sprintf(expected, "%u and some more of the line", next++);
        if (!content || strcmp(content + 3, expected) != 0) {
            (void)fprintf(stderr, "line %u is: %s\n", next - 1, line);
            return false;
        }
    }
    return next == LINES + 1;
}

/* Steps the child through `steps` instructions, then kills it. True: in the middle of something. */
static bool run_and_kill(const Room *room, bool resume, long steps)
{
    Unlogged *unlogged;
    bool torn;
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        pump(room, resume, true);
        _exit(0);
    }
    (void)waitpid(pid, &status, 0);
    while (steps-- > 0) {
        if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) < 0)
            break;
        (void)waitpid(pid, &status, 0);
        if (WIFEXITED(status))
            return false;
    }
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, &status, 0);
    unlogged = unlogged_open(room->scratch->fd, true);
    torn = unlogged->phase != UNLOGGED_NOTHING;
    (void)unlogged_close(unlogged);
    return torn;
}

TEST(killed_at_any_instruction_it_loses_and_doubles_nothing)
{
    SCRATCH(scratch);
    Room room = room_open(&scratch);
    char rest[64] = "";
    unsigned next = 1;
    bool resume = false;
    int torn = 0;

    CHECK(room.fifo >= 0);
    srandom(1);
    for (int i = 0; i < KILLS; i++) {
        feed(&room, &next, rest);
        torn += run_and_kill(&room, resume, 1 + random() % STEPS_MAX);
        resume = true;
    }
    CHECK(torn > KILLS / 8);
    do {
        feed(&room, &next, rest);
        pump(&room, true, false);
    } while (next <= LINES || *rest);
    CHECK(log_is_whole(&room));
    (void)close(room.fifo);
}

TEST(what_cannot_be_true_is_forgotten)
{
    SCRATCH(scratch);
    Unlogged *unlogged;

    unlogged = unlogged_open(scratch.fd, false);
    CHECK(unlogged != NULL);
    unlogged->phase = UNLOGGED_READ;
    unlogged->size = UNLOGGED_READ_MAX + 1;
    unlogged->lines[1].held = LOG_LINE_MAX + 5;
    (void)unlogged_close(unlogged);
    unlogged = unlogged_open(scratch.fd, true);
    CHECK_EQ(unlogged->phase, UNLOGGED_NOTHING);
    CHECK_EQ(unlogged->lines[1].held, 0);
    (void)unlogged_close(unlogged);
}

TEST_MAIN
