/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/stream/spdy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    VERSION = 3,
    FLAG_FIN = 1,
    CONTROL_BIT = 0x80,
    PARTS_MAX = 16, /* of one write: eight frames */
};

typedef enum FrameType {
    FRAME_SYN_STREAM = 1,
    FRAME_SYN_REPLY = 2,
    FRAME_RST_STREAM = 3,
    FRAME_SETTINGS = 4,
    FRAME_PING = 6,
    FRAME_GOAWAY = 7,
    SPDY_FRAME_HEADERS = 8,
    FRAME_WINDOW_UPDATE = 9,
    FRAME_TYPES,
} FrameType;

struct Spdy {
    const SpdyEvents *events;
    void *data;
    SpdyInflater inflater;
    SpdyHeaders headers;
    uint32_t last_id;  /* highest seen */
    uint32_t accepted; /* highest replied to */
    int result;        /* of spdy_feed, once it is not 0 */
    bool replied;      /* the zlib stream of ours has begun */
    bool closed;       /* GOAWAY is sent */

    /* The frame that is being read. */
    uint8_t header[SPDY_FRAME_HEADER];
    size_t header_size;
    uint32_t left; /* of its payload */
    size_t payload_size;
    uint8_t payload[SPDY_CONTROL_MAX]; /* of a control frame */
};

static uint32_t read_32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static uint32_t read_id(const uint8_t *bytes)
{
    return read_32(bytes) & 0x7fffffff;
}

static void put_32(uint8_t *bytes, uint32_t value)
{
    for (int i = 3; i >= 0; i--, value >>= 8)
        bytes[i] = (uint8_t)value;
}

/* Flags and length. */
static void put_length(uint8_t *bytes, uint8_t flags, size_t length)
{
    put_32(bytes, (uint32_t)length);
    bytes[0] = flags;
}

int spdy_new(const SpdyEvents *events, void *data, Spdy **ret)
{
    Spdy *spdy = calloc(1, sizeof(*spdy));

    if (!spdy)
        return -ENOMEM;
    if (spdy_inflater_init(&spdy->inflater) < 0) {
        free(spdy);
        return -ENOMEM;
    }
    spdy->events = events;
    spdy->data = data;
    *ret = spdy;
    return 0;
}

Spdy *spdy_free(Spdy *spdy)
{
    if (spdy)
        spdy_inflater_done(&spdy->inflater);
    free(spdy);
    return NULL;
}

/* ---- out */

static void write_bytes(Spdy *spdy, const void *bytes, size_t size)
{
    struct iovec part = {(void *)(uintptr_t)bytes, size};

    if (!spdy->closed)
        spdy->events->write(spdy->data, &part, 1);
}

static void write_control(Spdy *spdy, FrameType type, const uint8_t *payload, size_t size)
{
    uint8_t frame[SPDY_FRAME_HEADER + 32] = {CONTROL_BIT, VERSION, 0, (uint8_t)type};

    put_length(frame + 4, 0, size);
    memcpy(frame + SPDY_FRAME_HEADER, payload, size);
    write_bytes(spdy, frame, SPDY_FRAME_HEADER + size);
}

/* A reply has no headers. Its block is the same each time: stored blocks with four zero bytes,
 * ended by the marker of a zlib sync flush, which the clients' decoder cannot do without. The
 * first one is preceded by the header of the zlib stream. */
void spdy_reply(Spdy *spdy, uint32_t id)
{
    static const uint8_t block[] = {0x78, 0x01, 0, 4, 0, 0xfb, 0xff, 0,
                                    0,    0,    0, 0, 0, 0,    0xff, 0xff};
    size_t skip = spdy->replied ? 2 : 0;
    uint8_t payload[4 + sizeof(block)];

    put_32(payload, id);
    memcpy(payload + 4, block + skip, sizeof(block) - skip);
    write_control(spdy, FRAME_SYN_REPLY, payload, sizeof(payload) - skip);
    spdy->replied = true;
    spdy->accepted = id;
}

void spdy_reset(Spdy *spdy, uint32_t id, SpdyStatus status)
{
    uint8_t payload[8];

    put_32(payload, id);
    put_32(payload + 4, status);
    write_control(spdy, FRAME_RST_STREAM, payload, sizeof(payload));
}

void spdy_data_header(uint32_t id, size_t size, uint8_t *ret)
{
    put_32(ret, id);
    put_length(ret + 4, 0, size);
}

void spdy_write(Spdy *spdy, uint32_t id, const void *bytes, size_t size)
{
    uint8_t headers[PARTS_MAX / 2][SPDY_FRAME_HEADER];
    struct iovec parts[PARTS_MAX];
    const uint8_t *next = bytes;

    while (size > 0 && !spdy->closed) {
        int count = 0;

        for (; count < PARTS_MAX && size > 0; count += 2) {
            size_t length = size < SPDY_DATA_MAX ? size : SPDY_DATA_MAX;
            uint8_t *header = headers[count / 2];

            spdy_data_header(id, length, header);
            parts[count] = (struct iovec){header, SPDY_FRAME_HEADER};
            parts[count + 1] = (struct iovec){(void *)(uintptr_t)next, length};
            next += length;
            size -= length;
        }
        spdy->events->write(spdy->data, parts, count);
    }
}

void spdy_end(Spdy *spdy, uint32_t id)
{
    uint8_t frame[SPDY_FRAME_HEADER];

    put_32(frame, id);
    put_length(frame + 4, FLAG_FIN, 0);
    write_bytes(spdy, frame, sizeof(frame));
}

void spdy_goaway(Spdy *spdy, SpdyGoaway status)
{
    uint8_t payload[8];

    put_32(payload, spdy->accepted);
    put_32(payload + 4, status);
    write_control(spdy, FRAME_GOAWAY, payload, sizeof(payload));
    spdy->closed = true;
}

/* ---- in */

static int handle_syn_stream(Spdy *spdy)
{
    uint32_t id = read_id(spdy->payload);
    int r =
        spdy_inflate(&spdy->inflater, spdy->payload + 10, spdy->payload_size - 10, &spdy->headers);

    if (r < 0 || id == 0)
        return -EBADMSG;
    if (id <= spdy->last_id || id % 2 == 0) {
        spdy_reset(spdy, id, SPDY_PROTOCOL_ERROR);
        return 0;
    }
    spdy->last_id = id;
    if (spdy->closed)
        return 0;
    spdy->events->open(spdy->data, id, &spdy->headers);
    if (spdy->header[4] & FLAG_FIN)
        spdy->events->end(spdy->data, id);
    return 0;
}

/* Its headers say nothing to us, but are a part of the zlib stream. */
static int handle_headers(Spdy *spdy)
{
    int r =
        spdy_inflate(&spdy->inflater, spdy->payload + 4, spdy->payload_size - 4, &spdy->headers);

    if (r >= 0 && spdy->header[4] & FLAG_FIN)
        spdy->events->end(spdy->data, read_id(spdy->payload));
    return r;
}

static int handle_reset(Spdy *spdy)
{
    spdy->events->reset(spdy->data, read_id(spdy->payload));
    return 0;
}

/* Even numbers would be answers to pings of ours. */
static int handle_ping(Spdy *spdy)
{
    if (read_32(spdy->payload) % 2 == 1)
        write_control(spdy, FRAME_PING, spdy->payload, 4);
    return 0;
}

static int handle_goaway(Spdy *spdy)
{
    (void)spdy;
    return -ECONNRESET;
}

static int handle_nothing(Spdy *spdy)
{
    (void)spdy;
    return 0;
}

typedef struct FrameKind {
    uint32_t least, most; /* bytes of payload */
    int (*handle)(Spdy *spdy);
} FrameKind;

static const FrameKind KINDS[FRAME_TYPES] = {
    [FRAME_SYN_STREAM] = {10, SPDY_CONTROL_MAX, handle_syn_stream},
    [FRAME_SYN_REPLY] = {4, SPDY_CONTROL_MAX, handle_headers},
    [FRAME_RST_STREAM] = {8, 8, handle_reset},
    [FRAME_SETTINGS] = {4, SPDY_CONTROL_MAX, handle_nothing},
    [FRAME_PING] = {4, 4, handle_ping},
    [FRAME_GOAWAY] = {8, 8, handle_goaway},
    [SPDY_FRAME_HEADERS] = {4, SPDY_CONTROL_MAX, handle_headers},
    [FRAME_WINDOW_UPDATE] = {8, 8, handle_nothing},
};

static bool is_control(const Spdy *spdy)
{
    return spdy->header[0] & CONTROL_BIT;
}

/* NULL: no frame that a client may send. */
static const FrameKind *frame_kind(const Spdy *spdy)
{
    size_t type = (size_t)spdy->header[2] << 8 | spdy->header[3];
    const FrameKind *kind = type < FRAME_TYPES ? &KINDS[type] : NULL;
    bool is_known =
        kind && kind->handle && spdy->header[0] == CONTROL_BIT && spdy->header[1] == VERSION;

    return is_known && spdy->left >= kind->least && spdy->left <= kind->most ? kind : NULL;
}

/* The header is whole. */
static int begin_frame(Spdy *spdy)
{
    spdy->left = read_32(spdy->header + 4) & 0xffffff;
    spdy->payload_size = 0;
    return is_control(spdy) && !frame_kind(spdy) ? -EBADMSG : 0;
}

/* The payload is whole. */
static int end_frame(Spdy *spdy)
{
    size_t type = (size_t)spdy->header[2] << 8 | spdy->header[3];

    spdy->header_size = 0;
    if (is_control(spdy))
        return KINDS[type].handle(spdy);
    if (spdy->header[4] & FLAG_FIN)
        spdy->events->end(spdy->data, read_id(spdy->header));
    return 0;
}

size_t spdy_expects(const Spdy *spdy, uint32_t *ret_id)
{
    bool is_in_payload = spdy->header_size == SPDY_FRAME_HEADER;

    *ret_id = is_in_payload && !is_control(spdy) ? read_id(spdy->header) : 0;
    return is_in_payload ? spdy->left : SPDY_FRAME_HEADER - spdy->header_size;
}

int spdy_skip(Spdy *spdy, size_t size)
{
    spdy->left -= (uint32_t)size;
    if (spdy->left == 0)
        spdy->result = end_frame(spdy);
    return spdy->result;
}

static size_t take_header(Spdy *spdy, const uint8_t *bytes, size_t size)
{
    size_t missing = SPDY_FRAME_HEADER - spdy->header_size;
    size_t taken = size < missing ? size : missing;

    memcpy(spdy->header + spdy->header_size, bytes, taken);
    spdy->header_size += taken;
    if (spdy->header_size == SPDY_FRAME_HEADER)
        spdy->result = begin_frame(spdy);
    return taken;
}

static size_t take_payload(Spdy *spdy, const uint8_t *bytes, size_t size)
{
    size_t taken = size < spdy->left ? size : spdy->left;

    if (is_control(spdy)) {
        memcpy(spdy->payload + spdy->payload_size, bytes, taken);
        spdy->payload_size += taken;
    } else if (taken > 0) {
        spdy->events->bytes(spdy->data, read_id(spdy->header), bytes, taken);
    }
    spdy->left -= (uint32_t)taken;
    return taken;
}

int spdy_feed(Spdy *spdy, const uint8_t *bytes, size_t size)
{
    while (size > 0 && spdy->result == 0) {
        size_t taken = spdy->header_size < SPDY_FRAME_HEADER ? take_header(spdy, bytes, size)
                                                             : take_payload(spdy, bytes, size);

        bytes += taken;
        size -= taken;
        if (spdy->result == 0 && spdy->header_size == SPDY_FRAME_HEADER && spdy->left == 0)
            spdy->result = end_frame(spdy);
    }
    return spdy->result;
}
