/* SPDX-License-Identifier: Apache-2.0 */
/* Output of a container as records of the CRI log format:
 *
 *   2006-01-02T15:04:05.999999999Z stdout F content
 *
 * Pure: bytes in, vectors for writev(2) out. The content of a record is at most LOG_LINE_MAX bytes;
 * a longer line comes as records tagged P (more follows) and a last one tagged F. Bytes pass
 * through as they are. What is not a whole line yet is held until more comes. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "shared/clock.h"

enum {
    LOG_LINE_MAX = 16 * 1024,
    LOG_HEADER_SIZE = CLOCK_TEXT_SIZE + 16, /* time, stream, tag and their spaces */
    LOG_BATCH_VECTORS = 192,
};

/* The unfinished line of one stream. */
typedef struct LogLine {
    const char *stream; /* "stdout" or "stderr", static storage */
    size_t held;
    char data[LOG_LINE_MAX + 1]; /* room for the line's LF */
} LogLine;

/* Whole records. The vectors point into the batch, the LogLine and the bytes that were taken: they
 * are to be written before any of these changes. */
typedef struct LogBatch {
    char full[LOG_HEADER_SIZE];
    char partial[LOG_HEADER_SIZE];
    size_t header_size;
    struct iovec vectors[LOG_BATCH_VECTORS];
    int vectors_count;
    unsigned records;
} LogBatch;

void logline_init(LogLine *line, const char *stream);

/* Empties the batch; its records will be of this stream and time (clock_real). */
void logbatch_begin(LogBatch *batch, const LogLine *line, int64_t time);

/* Makes records of the bytes and returns how many bytes it took; fewer than `size` when the batch
 * has to be written first. The batch must have been begun for this call. */
size_t logline_take(LogLine *line, const char *data, size_t size, LogBatch *batch);

/* Puts what is held into an empty batch as a partial record; nothing held: an empty batch. */
void logline_flush(LogLine *line, LogBatch *batch);
