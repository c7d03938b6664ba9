/* SPDX-License-Identifier: Apache-2.0 */
/* SPDY/3.1 as a server of Kubernetes' streams speaks it: frames in, events out, and back. Bytes in
 * any portions; no input or output of its own. There is no flow control and no stream of ours.
 *
 * Streams are known here by nothing but the highest number seen: whoever takes the events keeps
 * those that he has accepted, and passes over what comes for others. */
#pragma once

#include <stdbool.h>
#include <sys/uio.h>

#include "podmon/stream/spdy_headers.h"

enum {
    SPDY_FRAME_HEADER = 8,
    SPDY_CONTROL_MAX = 64 * 1024, /* payload of a control frame */
    SPDY_DATA_MAX = 64 * 1024,    /* payload of a data frame of ours */
};

typedef enum SpdyStatus { /* of RST_STREAM */
                          SPDY_PROTOCOL_ERROR = 1,
                          SPDY_REFUSED_STREAM = 3,
                          SPDY_CANCEL = 5,
} SpdyStatus;

typedef enum SpdyGoaway {
    SPDY_GOAWAY_OK = 0,
    SPDY_GOAWAY_PROTOCOL_ERROR = 1,
} SpdyGoaway;

typedef struct SpdyEvents {
    /* A new stream: answered with spdy_reply or spdy_reset before this returns. */
    void (*open)(void *data, uint32_t id, const SpdyHeaders *headers);
    void (*bytes)(void *data, uint32_t id, const uint8_t *bytes, size_t size);
    void (*end)(void *data, uint32_t id);   /* the client's half is closed */
    void (*reset)(void *data, uint32_t id); /* both halves are */
    /* Has to take all of it. */
    void (*write)(void *data, const struct iovec *parts, int count);
} SpdyEvents;

typedef struct Spdy Spdy;

int spdy_new(const SpdyEvents *events, void *data, Spdy **ret); /* −ENOMEM */
Spdy *spdy_free(Spdy *spdy);                                    /* accepts NULL */

/* 0; −EBADMSG: the client breaks the protocol; −ECONNRESET: it leaves (GOAWAY). After either,
 * nothing more is taken in. */
int spdy_feed(Spdy *spdy, const uint8_t *bytes, size_t size);

/* How many bytes come before the next decision: the rest of a header or of a payload. *ret_id: of
 * which stream's data; 0: of none. */
size_t spdy_expects(const Spdy *spdy, uint32_t *ret_id);

/* Of these data `size` bytes, at most as many, have been taken by who asked. As spdy_feed. */
int spdy_skip(Spdy *spdy, size_t size);

/* After spdy_goaway all of these do nothing. */
void spdy_reply(Spdy *spdy, uint32_t id);
void spdy_reset(Spdy *spdy, uint32_t id, SpdyStatus status);
void spdy_write(Spdy *spdy, uint32_t id, const void *bytes, size_t size);
void spdy_end(Spdy *spdy, uint32_t id);

/* The header of a data frame whose payload of `size` bytes is sent by who asks: SPDY_FRAME_HEADER.
 */
void spdy_data_header(uint32_t id, size_t size, uint8_t *ret);
void spdy_goaway(Spdy *spdy, SpdyGoaway status);
