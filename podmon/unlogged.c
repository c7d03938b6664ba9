/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/unlogged.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "podmon/stdio.h"
#include "shared/cleanup.h"
#include "shared/fd.h"
#include "shared/layout.h"

/* A byte that text in UTF-8 never has. */
enum { MARK = 0xff, PAGE = 4096 };

/* What was stored before this is there before what is stored after it, for whoever finds the memory
 * later: the order is the program's, and only the compiler has to be told. */
#define STEP() atomic_signal_fence(memory_order_seq_cst)

static Unlogged *map(int fd)
{
    void *memory = mmap(NULL, sizeof(Unlogged), PROT_READ | PROT_WRITE,
                        fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

static void begin(Unlogged *unlogged)
{
    unlogged->phase = UNLOGGED_NOTHING;
    for (unsigned i = 0; i < UNLOGGED_STREAMS; i++)
        unlogged->lines[i].held = 0;
    unlogged->version = UNLOGGED_VERSION;
}

/* A file that somebody else wrote is never trusted with a length. */
static bool is_sound(const Unlogged *unlogged)
{
    for (unsigned i = 0; i < UNLOGGED_STREAMS; i++)
        if (unlogged->lines[i].held > LOG_LINE_MAX)
            return false;
    return unlogged->version == UNLOGGED_VERSION && unlogged->phase <= UNLOGGED_WRITING &&
           unlogged->stream < UNLOGGED_STREAMS && unlogged->size <= UNLOGGED_READ_MAX &&
           unlogged->taken <= unlogged->size && unlogged->undo_taken <= unlogged->taken &&
           unlogged->undo_held <= LOG_LINE_MAX;
}

static int open_file(int dir_fd, bool resume)
{
    AUTO_CLOSE int fd =
        openat(dir_fd, LAYOUT_UNLOGGED,
               O_RDWR | O_CREAT | (resume ? 0 : O_TRUNC) | O_NOFOLLOW | O_CLOEXEC, 0600);

    /* The first page and the lengths of the lines, which are looked at before anything is held. */
    if (fd < 0 || ftruncate(fd, sizeof(Unlogged)) < 0 || fallocate(fd, 0, 0, PAGE) < 0)
        return -errno;
    for (unsigned i = 0; i < UNLOGGED_STREAMS; i++)
        if (fallocate(fd, 0, (off_t)(offsetof(Unlogged, lines) + i * sizeof(LogLine)), 1) < 0)
            return -errno;
    return take_fd(&fd);
}

Unlogged *unlogged_open(int dir_fd, bool resume)
{
    AUTO_CLOSE int fd = dir_fd < 0 ? -1 : open_file(dir_fd, resume);
    Unlogged *unlogged = map(fd < 0 ? -1 : fd);

    if (unlogged && !is_sound(unlogged)) {
        memset(unlogged, 0, offsetof(Unlogged, data_backed));
        begin(unlogged);
    }
    if (unlogged)
        unlogged->data_backed = unlogged->lines_backed = 0;
    for (unsigned i = 0; unlogged && i < UNLOGGED_STREAMS; i++)
        unlogged->lines[i].stream = stdio_stream_name((StdioStream)i);
    return unlogged;
}

Unlogged *unlogged_close(Unlogged *unlogged)
{
    if (unlogged)
        (void)munmap(unlogged, sizeof(*unlogged));
    return NULL;
}

/* Makes sure that there is memory behind these bytes: a full file system is a SIGBUS otherwise.
 * A kernel before 5.14 cannot tell. */
static bool back(void *at, size_t size)
{
    char *page = (char *)((uintptr_t)at & ~(uintptr_t)(PAGE - 1));
    size_t length = (size_t)((char *)at + size - page);

    return madvise(page, length, MADV_POPULATE_WRITE) == 0 || errno == EINVAL;
}

/* To memory of this process. False: there is none. */
static bool move_away(Unlogged **unlogged)
{
    Unlogged *copy = map(-1), *old = *unlogged;

    if (!copy)
        return false;
    memcpy(copy, old, offsetof(Unlogged, data));
    memcpy(copy->data, old->data, old->data_backed);
    for (unsigned i = 0; i < UNLOGGED_STREAMS; i++) {
        copy->lines[i].stream = old->lines[i].stream;
        copy->lines[i].held = old->lines[i].held;
        memcpy(copy->lines[i].data, old->lines[i].data, old->lines[i].held);
    }
    copy->data_backed = UNLOGGED_READ_MAX;
    copy->lines_backed = (1U << UNLOGGED_STREAMS) - 1;
    begin(old); /* Whoever finds the file has no more to do. */
    (void)unlogged_close(old);
    *unlogged = copy;
    return true;
}

static bool back_data(Unlogged **unlogged, size_t size)
{
    if (size <= (*unlogged)->data_backed)
        return true;
    if (!back((*unlogged)->data, size))
        return move_away(unlogged);
    (*unlogged)->data_backed = (uint32_t)size;
    return true;
}

static bool back_line(Unlogged **unlogged, unsigned stream)
{
    if ((*unlogged)->lines_backed & (1U << stream))
        return true;
    if (!back(&(*unlogged)->lines[stream], sizeof(LogLine)))
        return move_away(unlogged);
    (*unlogged)->lines_backed |= 1U << stream;
    return true;
}

ssize_t unlogged_read(Unlogged **unlogged, unsigned stream, int fd)
{
    int ready = 0;
    size_t size = 1; /* Nothing there: either the end, or whatever comes just now. */
    Unlogged *self;
    ssize_t count;

    if (ioctl(fd, FIONREAD, &ready) == 0 && ready > 0)
        size = ready < UNLOGGED_READ_MAX ? (size_t)ready : UNLOGGED_READ_MAX;
    if (!back_data(unlogged, size)) {
        errno = EAGAIN; /* Later there may be memory again. */
        return -1;
    }
    self = *unlogged;
    memset(self->data, MARK, size);
    self->stream = stream;
    self->size = (uint32_t)size;
    self->taken = self->undo_taken = 0;
    STEP();
    self->phase = UNLOGGED_READING;
    STEP();
    count = read(fd, self->data, size);
    if (count > 0)
        self->size = (uint32_t)count;
    STEP();
    self->phase = count > 0 ? UNLOGGED_READ : UNLOGGED_NOTHING;
    return count;
}

static size_t batch_size(const LogBatch *batch)
{
    size_t size = 0;

    for (int i = 0; i < batch->vectors_count; i++)
        size += batch->vectors[i].iov_len;
    return size;
}

static void write_batch(Unlogged *self, LogLine *line, LogFile *log, bool flush)
{
    LogBatch batch;

    logbatch_begin(&batch, line, clock_real());
    self->undo_held = (uint32_t)line->held;
    self->undo_taken = self->taken;
    self->log_end = log->fd >= 0 ? lseek(log->fd, 0, SEEK_END) : 0;
    self->log_size = 0;
    STEP();
    self->phase = UNLOGGED_WRITING;
    STEP();
    if (flush)
        logline_flush(line, &batch);
    else
        self->taken += (uint32_t)logline_take(line, self->data + self->taken,
                                              self->size - self->taken, &batch);
    STEP();
    self->log_size = (uint32_t)batch_size(&batch);
    STEP();
    logfile_write(log, &batch);
    STEP();
    self->phase = UNLOGGED_READ;
    STEP();
}

void unlogged_write(Unlogged **unlogged, unsigned stream, LogFile *log, bool flush)
{
    Unlogged *self = *unlogged;

    if (self->phase == UNLOGGED_NOTHING)
        self->size = self->taken = 0;
    if (self->taken < self->size &&
        (self->lines[stream].held > 0 || self->data[self->size - 1] != '\n') &&
        !back_line(unlogged, stream))
        self->taken = self->size; /* Without any memory: lost. */
    self = *unlogged;
    self->stream = stream;
    while (self->taken < self->size)
        write_batch(self, &self->lines[stream], log, false);
    if (flush && self->lines[stream].held > 0)
        write_batch(self, &self->lines[stream], log, true);
    self->phase = UNLOGGED_NOTHING;
}

/* Has the batch reached the log? What reached it in part is taken back. */
static bool was_written(const Unlogged *self, const LogFile *log)
{
    off_t end = log->fd >= 0 ? lseek(log->fd, 0, SEEK_END) : 0;

    if (self->log_size == 0 || end <= self->log_end)
        return false;
    if (end >= self->log_end + (off_t)self->log_size)
        return true;
    (void)!ftruncate(log->fd, self->log_end); /* Failing leaves a torn record. */
    return false;
}

void unlogged_recover(Unlogged *self, const LogFile *log)
{
    if (self->phase == UNLOGGED_READING) {
        while (self->size > 0 && (unsigned char)self->data[self->size - 1] == MARK)
            self->size--;
        self->phase = self->size > 0 ? UNLOGGED_READ : UNLOGGED_NOTHING;
    }
    if (self->phase == UNLOGGED_WRITING) {
        if (!was_written(self, log)) {
            self->taken = self->undo_taken;
            self->lines[self->stream].held = self->undo_held;
        }
        self->phase = UNLOGGED_READ;
    }
    self->data_backed = self->phase == UNLOGGED_READ ? self->size : 0;
}
