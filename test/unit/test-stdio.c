/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sys/stat.h>

#include "podmon/stdio.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/file.h"
#include "test/unit/test.h"

typedef struct Room {
    char directory[64];
    EventLoop *loop;
    Stdio *stdio;
    int writers[STDIO_STREAMS];
    int done;
} Room;

static bool room_open(Room *room)
{
    LogFile log = LOG_FILE_NONE;
    Failure why;

    *room = (Room){0};
    (void)snprintf(room->directory, sizeof(room->directory), "/tmp/podmon-stdio-XXXXXX");
    if (!mkdtemp(room->directory) || event_loop_new(&room->loop) < 0 ||
        logfile_open(&log, room->directory, "0.log", &why) < 0 ||
        stdio_new(room->loop, &log, -1, false, &room->stdio) < 0)
        return false;
    for (int i = 0; i < STDIO_STREAMS; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0 ||
            stdio_add(room->stdio, (StdioStream)i, ends[0]) < 0)
            return false;
        room->writers[i] = ends[1];
    }
    return true;
}

static void room_close(Room *room)
{
    stdio_free(room->stdio);
    event_loop_free(room->loop);
    for (int i = 0; i < STDIO_STREAMS; i++)
        (void)close(room->writers[i]);
    (void)file_delete_tree_at(AT_FDCWD, room->directory);
}

static void count(void *data)
{
    int *done = data;

    (*done)++;
}

static void say(const Room *room, StdioStream stream, const char *text)
{
    (void)!write(room->writers[stream], text, strlen(text));
}

static char *read_log(const Room *room, const char *name)
{
    AUTO_CLOSE int fd = open(room->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char *text = NULL;

    return file_read_at(fd, name, 16 * 1024 * 1024, &text, NULL) < 0 ? NULL : text;
}

TEST(both_streams_reach_the_log)
{
    Room room;

    CHECK(room_open(&room));
    say(&room, STDIO_OUT, "out\n");
    say(&room, STDIO_ERROR, "err\n");
    for (int i = 0; i < 3; i++)
        (void)event_loop_step(room.loop, 10);
    AUTO_FREE char *text = read_log(&room, "0.log");
    room_close(&room);
    CHECK(text && strstr(text, " stdout F out\n") && strstr(text, " stderr F err\n"));
}

TEST(draining_ends_with_the_streams)
{
    Room room;

    CHECK(room_open(&room));
    say(&room, STDIO_OUT, "no end of line");
    for (int i = 0; i < STDIO_STREAMS; i++) {
        (void)close(room.writers[i]);
        room.writers[i] = -1;
    }
    CHECK_EQ(stdio_drain(room.stdio, UINT64_MAX, count, &room.done), 0);
    CHECK_EQ(room.done, 0);
    for (int i = 0; i < 3; i++)
        (void)event_loop_step(room.loop, 10);
    AUTO_FREE char *text = read_log(&room, "0.log");
    int done = room.done;
    room_close(&room);
    CHECK_EQ(done, 1);
    CHECK(text && strstr(text, " stdout P no end of line\n"));
}

/* A descendant holds the stream: what is there is logged, and nobody waits for ever. */
TEST(draining_ends_at_its_deadline)
{
    Room room;
    uint64_t deadline;

    CHECK(room_open(&room));
    deadline = clock_monotonic() + 50 * CLOCK_MILLISECOND;
    CHECK_EQ(stdio_drain(room.stdio, deadline, count, &room.done), 0);
    say(&room, STDIO_ERROR, "late\n");
    while (room.done == 0 && clock_monotonic() < deadline + CLOCK_SECOND)
        (void)event_loop_step(room.loop, 100);
    AUTO_FREE char *text = read_log(&room, "0.log");
    int done = room.done;
    room_close(&room);
    CHECK_EQ(done, 1);
    CHECK(clock_monotonic() >= deadline);
    CHECK(text && strstr(text, " stderr F late\n"));
}

TEST(a_new_log_file_splits_a_line_but_loses_nothing)
{
    Room room;
    Failure why = {0};
    char old[128], path[128];
    int r;

    CHECK(room_open(&room));
    say(&room, STDIO_OUT, "be");
    (void)event_loop_step(room.loop, 100);
    (void)snprintf(path, sizeof(path), "%s/0.log", room.directory);
    (void)snprintf(old, sizeof(old), "%s/old", room.directory);
    CHECK_EQ(rename(path, old), 0);
    r = stdio_reopen_log(room.stdio, room.directory, "0.log", &why);
    say(&room, STDIO_OUT, "fore\n");
    (void)event_loop_step(room.loop, 100);
    AUTO_FREE char *before = read_log(&room, "old");
    AUTO_FREE char *after = read_log(&room, "0.log");
    room_close(&room);
    CHECK_EQ(r, 0);
    CHECK(before && strstr(before, " stdout P be\n"));
    CHECK(after && strstr(after, " stdout F fore\n") && !strstr(after, " be\n"));
}

TEST_MAIN
