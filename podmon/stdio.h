/* SPDX-License-Identifier: Apache-2.0 */
/* What a container writes, on its way into its log file: FIFOs, or the master of its pty. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "podmon/logfile.h"
#include "shared/event.h"

typedef struct Stdio Stdio;

typedef enum StdioStream {
    STDIO_OUT, /* also the only one of a pty */
    STDIO_ERROR,
    STDIO_STREAMS,
} StdioStream;

typedef void (*StdioDone)(void *data);

/* "stdout", "stderr". */
const char *stdio_stream_name(StdioStream stream);

/* Takes over what `log` has open (the caller's becomes LOG_FILE_NONE). `dir_fd`: the container's
 * directory, for what a death of podmon must not lose (podmon/unlogged.h), or −1; with `resume`
 * what an earlier podmon had read is written first. −ENOMEM. */
int stdio_new(EventLoop *loop, LogFile *log, int dir_fd, bool resume, Stdio **ret);

/* Closes everything. Returns NULL; accepts NULL. */
Stdio *stdio_free(Stdio *self);

/* Reads from `fd` (non-blocking; owned by the Stdio from now on, also on failure) until its end. */
int stdio_add(Stdio *self, StdioStream stream, int fd);

/* The writer has ended: reads on to the end of every stream, which a descendant may delay, but not
 * beyond `deadline` (clock_monotonic). Then what is there is in the log, unfinished lines too, the
 * streams are closed, and `done` is called: once, never from inside this function. */
int stdio_drain(Stdio *self, uint64_t deadline, StdioDone done, void *data);

/* Goes on in a new file at the same path: unfinished lines end in the old one as partial records.
 * On failure the old file stays in use. */
int stdio_reopen_log(Stdio *self, const char *directory, const char *path, Failure *why);

/* Another who gets what is written, beside the log, from now on. A tap may be taken off inside any
 * of these. */
typedef struct StdioTapEvents {
    void (*bytes)(void *data, StdioStream stream, const char *bytes, size_t size);
    void (*stream_end)(void *data, StdioStream stream);
    void (*end)(void *data); /* the Stdio goes, and the tap with it */
} StdioTapEvents;

typedef struct StdioTap StdioTap;

int stdio_tap(Stdio *self, const StdioTapEvents *events, void *data, StdioTap **ret); /* −ENOMEM */
StdioTap *stdio_untap(StdioTap *tap); /* returns NULL; accepts NULL */
