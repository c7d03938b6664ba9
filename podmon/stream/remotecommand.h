/* SPDX-License-Identifier: Apache-2.0 */
/* What remotecommand says inside its streams: which there are, the status at the end, the sizes of
 * a terminal. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/text.h"

/* The numbers are those of the WebSocket channels. */
typedef enum Channel {
    CHANNEL_STDIN,
    CHANNEL_STDOUT,
    CHANNEL_STDERR,
    CHANNEL_ERROR,
    CHANNEL_RESIZE,
    CHANNELS,
    CHANNEL_CLOSE = 255, /* v5: a client closes the channel that the next byte names */
} Channel;

/* By the SPDY header "streamtype"; −EINVAL. */
int channel_parse(const char *name);

/* What the client is told in the end. Version 4 and later: one JSON object; before: a text, and
 * only if something went wrong. −ENOMEM. */
int status_success(int version, Text *ret);
int status_exit(int version, char *const *argv, size_t argc, int code, Text *ret); /* also 0 */
int status_failure(int version, const char *message, Text *ret);

enum { RESIZE_TEXT_MAX = 1024 };

/* Sizes as they come, {"Width":80,"Height":24} one behind the other, in whatever portions. All zero
 * is the beginning. */
typedef struct ResizeReader {
    char text[RESIZE_TEXT_MAX]; /* of an object that is not whole yet */
    size_t size;
    bool is_broken; /* what came is no size: nothing more is looked at */
} ResizeReader;

typedef struct TerminalSize {
    uint16_t width, height; /* 0: none */
} TerminalSize;

/* The last whole size in these bytes, if there was one; sizes with a 0 do not count. */
bool resize_read(ResizeReader *reader, const uint8_t *bytes, size_t size, TerminalSize *ret);
