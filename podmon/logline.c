/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/logline.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { VECTORS_PER_RECORD = 3 };

void logline_init(LogLine *line, const char *stream)
{
    line->stream = stream;
    line->held = 0;
}

void logbatch_begin(LogBatch *batch, const LogLine *line, int64_t time)
{
    char text[CLOCK_TEXT_SIZE];

    clock_format(time, text);
    batch->header_size =
        (size_t)snprintf(batch->full, sizeof(batch->full), "%s %s F ", text, line->stream);
    (void)snprintf(batch->partial, sizeof(batch->partial), "%s %s P ", text, line->stream);
    batch->vectors_count = 0;
    batch->records = 0;
}

static void batch_add_vector(LogBatch *batch, const char *data, size_t size)
{
    /* writev does not write to what it is given; struct iovec has no way to say so. */
    batch->vectors[batch->vectors_count++] = (struct iovec){(void *)(uintptr_t)data, size};
}

/* `with_end`: the content's own LF follows it in memory. */
static void batch_add(LogBatch *batch, const char *content, size_t size, bool with_end)
{
    batch_add_vector(batch, with_end ? batch->full : batch->partial, batch->header_size);
    if (with_end) {
        batch_add_vector(batch, content, size + 1);
    } else {
        batch_add_vector(batch, content, size);
        batch_add_vector(batch, "\n", 1);
    }
    batch->records++;
}

static size_t size_min(size_t left, size_t right)
{
    return left < right ? left : right;
}

/* Goes on with a line that was begun by an earlier read. The record it ends in is the last of its
 * batch, because the held bytes may change with the next. */
static size_t take_held(LogLine *line, const char *data, size_t size, LogBatch *batch)
{
    size_t room = LOG_LINE_MAX - line->held;
    const char *end = memchr(data, '\n', size_min(size, room + 1));
    size_t taken = end ? (size_t)(end - data) : size_min(size, room);

    memcpy(line->data + line->held, data, taken);
    line->held += taken;
    if (end) {
        line->data[line->held] = '\n';
        batch_add(batch, line->data, line->held, true);
        line->held = 0;
        return taken + 1;
    }
    if (taken < size) {
        /* The line is full and goes on: its next byte is there and is no LF. */
        batch_add(batch, line->data, line->held, false);
        line->held = 0;
    }
    return taken;
}

size_t logline_take(LogLine *line, const char *data, size_t size, LogBatch *batch)
{
    size_t taken = 0;

    if (line->held > 0)
        return take_held(line, data, size, batch);

    while (taken < size && batch->vectors_count + VECTORS_PER_RECORD <= LOG_BATCH_VECTORS) {
        const char *rest = data + taken;
        size_t rest_size = size - taken;
        const char *end = memchr(rest, '\n', size_min(rest_size, LOG_LINE_MAX + 1));

        if (end) {
            batch_add(batch, rest, (size_t)(end - rest), true);
            taken += (size_t)(end - rest) + 1;
        } else if (rest_size > LOG_LINE_MAX) {
            batch_add(batch, rest, LOG_LINE_MAX, false);
            taken += LOG_LINE_MAX;
        } else {
            memcpy(line->data, rest, rest_size);
            line->held = rest_size;
            return size;
        }
    }
    return taken;
}

void logline_flush(LogLine *line, LogBatch *batch)
{
    if (line->held == 0)
        return;
    batch_add(batch, line->data, line->held, false);
    line->held = 0;
}
