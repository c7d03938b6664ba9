/* SPDX-License-Identifier: Apache-2.0 */
/* What has been read of a container's output and is not in its log yet, in a file in memory: should
 * podmon die, at whatever instruction, the next one goes on from there, and no byte is lost or in
 * the log twice. A read and a write are transactions: noted before, completed after; which of the
 * two a death has hit in its middle is seen from the bytes, and from the end of the log. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "podmon/logfile.h"

enum {
    UNLOGGED_VERSION = 1,
    UNLOGGED_STREAMS = 2,
    UNLOGGED_READ_MAX = 16 * 1024,
};

typedef enum UnloggedPhase {
    UNLOGGED_NOTHING, /* but the lines' beginnings */
    UNLOGGED_READING, /* `data` is filled with marks that the bytes overwrite */
    UNLOGGED_READ,    /* data[taken..size) */
    UNLOGGED_WRITING, /* `taken` and the line as they will be; as they were, in `undo` */
} UnloggedPhase;

typedef struct Unlogged {
    uint32_t version;
    uint32_t phase;
    uint32_t stream; /* whose the bytes are */
    uint32_t size, taken;
    uint32_t undo_held, undo_taken;
    uint32_t log_size;     /* of what is being written, bytes; 0: that is not known yet */
    int64_t log_end;       /* where the log ended before */
    uint32_t data_backed;  /* bytes of `data` that are sure to be there */
    uint32_t lines_backed; /* bit n: lines[n] is sure to be there */
    _Alignas(4096) char data[UNLOGGED_READ_MAX];
    _Alignas(4096) LogLine lines[UNLOGGED_STREAMS];
} Unlogged;

/* Maps the file in a container's directory, a new one or, with `resume`, as it was left. Where that
 * is not possible, or `dir_fd` is −1, it is memory of this process. NULL without memory. */
Unlogged *unlogged_open(int dir_fd, bool resume);
Unlogged *unlogged_close(Unlogged *unlogged); /* accepts NULL */

/* Brings what an earlier podmon left in order: afterwards the phase is NOTHING or READ. */
void unlogged_recover(Unlogged *unlogged, const LogFile *log);

/* read(2) of what is there, at most UNLOGGED_READ_MAX: afterwards the phase is READ, or NOTHING if
 * this returns 0 or −1 (errno). *unlogged may move, if its file cannot grow. */
ssize_t unlogged_read(Unlogged **unlogged, unsigned stream, int fd);

/* Writes what is read, as far as it makes whole records; with `flush` the line's beginning, too, as
 * a partial one. Afterwards the phase is NOTHING. */
void unlogged_write(Unlogged **unlogged, unsigned stream, LogFile *log, bool flush);
