/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/stdio.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "podmon/unlogged.h"
#include "shared/cleanup.h"
#include "shared/fd.h"

enum {
    READS_PER_EVENT = 4,   /* then others have their turn */
    READS_AT_THE_END = 64, /* a pipe holds 64 KiB, 1 MiB if it was enlarged */
};

typedef struct Stream {
    Stdio *stdio;
    int fd;
    EventSource *source;
} Stream;

struct StdioTap {
    Stdio *stdio;
    StdioTap *next;
    const StdioTapEvents *events;
    void *data;
};

struct Stdio {
    EventLoop *loop;
    StdioTap *taps;
    StdioTap *next_tap; /* while all are told something: who is next */
    LogFile log;
    Unlogged *unlogged;
    Stream streams[STDIO_STREAMS];
    EventSource *deadline;
    StdioDone done;
    void *data;
};

const char *stdio_stream_name(StdioStream stream)
{
    return stream == STDIO_ERROR ? "stderr" : "stdout";
}

int stdio_new(EventLoop *loop, LogFile *log, int dir_fd, bool resume, Stdio **ret)
{
    Stdio *self = malloc(sizeof(*self));
    Unlogged *unlogged = self ? unlogged_open(dir_fd, resume) : NULL;

    if (!unlogged) {
        free(self);
        return -ENOMEM;
    }
    self->loop = loop;
    self->taps = self->next_tap = NULL;
    self->log = *log;
    self->deadline = NULL;
    self->done = NULL;
    self->data = NULL;
    self->unlogged = unlogged;
    *log = LOG_FILE_NONE;
    for (int i = 0; i < STDIO_STREAMS; i++) {
        Stream *stream = &self->streams[i];
        stream->stdio = self;
        stream->fd = -1;
        stream->source = NULL;
    }
    unlogged_recover(unlogged, &self->log);
    unlogged_write(&self->unlogged, unlogged->stream, &self->log, false);
    *ret = self;
    return 0;
}

Stdio *stdio_free(Stdio *self)
{
    if (!self)
        return NULL;
    while (self->taps) {
        StdioTap *tap = self->taps;
        self->taps = tap->next;
        tap->events->end(tap->data);
        free(tap);
    }
    for (int i = 0; i < STDIO_STREAMS; i++) {
        event_free(self->streams[i].source);
        fd_close(&self->streams[i].fd);
    }
    event_free(self->deadline);
    self->unlogged = unlogged_close(self->unlogged);
    logfile_close(&self->log);
    free(self);
    return NULL;
}

int stdio_tap(Stdio *self, const StdioTapEvents *events, void *data, StdioTap **ret)
{
    StdioTap *tap = malloc(sizeof(*tap));

    if (!tap)
        return -ENOMEM;
    *tap = (StdioTap){self, self->taps, events, data};
    self->taps = tap;
    *ret = tap;
    return 0;
}

StdioTap *stdio_untap(StdioTap *tap)
{
    StdioTap **link;

    if (!tap)
        return NULL;
    for (link = &tap->stdio->taps; *link != tap; link = &(*link)->next)
        ;
    *link = tap->next;
    if (tap->stdio->next_tap == tap)
        tap->stdio->next_tap = tap->next;
    free(tap);
    return NULL;
}

/* With size 0: the stream has ended. */
static void tell_taps(const Stream *stream, const char *data, size_t size)
{
    Stdio *self = stream->stdio;
    StdioStream which = (StdioStream)(stream - self->streams);

    for (StdioTap *tap = self->taps; tap; tap = self->next_tap) {
        self->next_tap = tap->next;
        if (size > 0)
            tap->events->bytes(tap->data, which, data, size);
        else
            tap->events->stream_end(tap->data, which);
    }
}

static void stream_flush(Stream *stream)
{
    Stdio *self = stream->stdio;

    unlogged_write(&self->unlogged, (unsigned)(stream - self->streams), &self->log, true);
}

/* Returns false at the end of the stream. EIO is how a pty says that nobody has its other end. */
static bool stream_read(Stream *stream, int reads)
{
    Stdio *self = stream->stdio;
    unsigned which = (unsigned)(stream - self->streams);

    for (int i = 0; i < reads; i++) {
        ssize_t size = unlogged_read(&self->unlogged, which, stream->fd);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0 && errno == EAGAIN)
            return true;
        if (size <= 0)
            return false;
        unlogged_write(&self->unlogged, which, &self->log, false);
        tell_taps(stream, self->unlogged->data, (size_t)size);
    }
    return true;
}

static void stream_end(Stream *stream)
{
    stream->source = event_free(stream->source);
    fd_close(&stream->fd);
    stream_flush(stream);
    tell_taps(stream, NULL, 0);
}

static bool streams_have_ended(const Stdio *self)
{
    for (int i = 0; i < STDIO_STREAMS; i++)
        if (self->streams[i].fd >= 0)
            return false;
    return true;
}

/* From the timer: at the deadline, or at once when every stream had ended before. */
static void drain_finish(void *data, uint32_t events)
{
    Stdio *self = data;
    StdioDone done = self->done;

    (void)events;
    for (int i = 0; i < STDIO_STREAMS; i++) {
        if (self->streams[i].fd < 0)
            continue;
        (void)stream_read(&self->streams[i], READS_AT_THE_END); /* Ended or not, it is closed. */
        stream_end(&self->streams[i]);
    }
    self->deadline = event_free(self->deadline);
    if (done) {
        self->done = NULL;
        done(self->data);
    }
}

static void stream_ready(void *data, uint32_t events)
{
    Stream *stream = data;

    (void)events;
    if (stream_read(stream, READS_PER_EVENT))
        return;
    stream_end(stream);
    if (stream->stdio->done && streams_have_ended(stream->stdio))
        drain_finish(stream->stdio, 0);
}

int stdio_add(Stdio *self, StdioStream which, int fd)
{
    Stream *stream = &self->streams[which];

    stream->fd = fd;
    return event_add_fd(self->loop, fd, EPOLLIN, stream_ready, stream, &stream->source);
}

int stdio_drain(Stdio *self, uint64_t deadline, StdioDone done, void *data)
{
    for (int i = 0; i < STDIO_STREAMS; i++)
        if (self->streams[i].fd >= 0 && !stream_read(&self->streams[i], READS_PER_EVENT))
            stream_end(&self->streams[i]);
    self->done = done;
    self->data = data;
    return event_add_timer(self->loop, streams_have_ended(self) ? 0 : deadline, drain_finish, self,
                           &self->deadline);
}

int stdio_reopen_log(Stdio *self, const char *directory, const char *path, Failure *why)
{
    LogFile next = LOG_FILE_NONE;
    int r = logfile_open(&next, directory, path, why);

    if (r < 0)
        return r;
    for (int i = 0; i < STDIO_STREAMS; i++)
        stream_flush(&self->streams[i]);
    logfile_close(&self->log);
    self->log.fd = next.fd; /* The count of what was lost goes on. */
    return 0;
}
