/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "podmon/stream/spdy.h"
#include "shared/text.h"
#include "test.h"

/* What happened, as text; what was written, as hexadecimal digits. */
typedef struct Record {
    Spdy *spdy;
    Text events, written;
    bool refuse;
} Record;

static void on_open(void *data, uint32_t id, const SpdyHeaders *headers)
{
    Record *record = data;
    const char *type = spdy_headers_get(headers, "streamtype");

    (void)text_print(&record->events, "open %u %s;", id, type ? type : "-");
    if (record->refuse)
        spdy_reset(record->spdy, id, SPDY_REFUSED_STREAM);
    else
        spdy_reply(record->spdy, id);
}

static void on_bytes(void *data, uint32_t id, const uint8_t *bytes, size_t size)
{
    Record *record = data;

    (void)text_print(&record->events, "bytes %u %.*s;", id, (int)size, (const char *)bytes);
}

static void on_end(void *data, uint32_t id)
{
    Record *record = data;

    (void)text_print(&record->events, "end %u;", id);
}

static void on_reset(void *data, uint32_t id)
{
    Record *record = data;

    (void)text_print(&record->events, "reset %u;", id);
}

static void on_write(void *data, const struct iovec *parts, int count)
{
    Record *record = data;

    for (int i = 0; i < count; i++)
        for (size_t j = 0; j < parts[i].iov_len; j++)
            (void)text_print(&record->written, "%02x", ((const uint8_t *)parts[i].iov_base)[j]);
}

static const SpdyEvents EVENTS = {on_open, on_bytes, on_end, on_reset, on_write};

static size_t parse_hex(const char *hex, uint8_t *ret)
{
    size_t size = 0;
    unsigned value;

    for (; *hex; hex += *hex == ' ' ? 1 : 2)
        if (*hex != ' ' && sscanf(hex, "%2x", &value) == 1)
            ret[size++] = (uint8_t)value;
    return size;
}

static void begin(Record *record)
{
    *record = (Record){0};
    if (spdy_new(&EVENTS, record, &record->spdy) < 0)
        abort();
}

static void done(Record *record)
{
    spdy_free(record->spdy);
    text_done(&record->events);
    text_done(&record->written);
}

#define ERROR_STREAM                                                                               \
    "80030001 00000029 00000001 00000000 0000 "                                                    \
    "78f9e3c6a7c26260606004a7b392a2d4c45c6851c29a0a0a6800000000ffff"
#define STDIN_STREAM "80030001 00000017 00000003 00000000 0000 c22e555c92929907000000ffff"
#define STDOUT_STREAM "80030001 00000019 00000005 00000000 0000 c22ac5565c92925f5a02000000ffff"
#define FIRST_REPLY "8003000200000014000000017801000400fbff00000000000000ffff"
#define REPLY(id) "8003000200000012000000" id "000400fbff00000000000000ffff"

static const char SESSION[] = ERROR_STREAM STDIN_STREAM STDOUT_STREAM
    "80030006 00000004 00000001" /* ping */
    "00000003 00000003 68690a"
    "00000003 01000000"
    "80030003 00000008 00000005 00000005";
static const char SESSION_EVENTS[] =
    "open 1 error;open 3 stdin;open 5 stdout;bytes 3 hi\n;end 3;"
    "reset 5;";

TEST(session_of_a_go_client)
{
    uint8_t bytes[1024];
    size_t size = parse_hex(SESSION, bytes);
    Record record;

    begin(&record);
    CHECK_EQ(spdy_feed(record.spdy, bytes, size), 0);
    CHECK_STR(record.events.data, SESSION_EVENTS);
    CHECK_STR(record.written.data, FIRST_REPLY REPLY("03") REPLY("05") "800300060000000400000001");
    done(&record);
}

TEST(byte_by_byte)
{
    uint8_t bytes[1024];
    size_t size = parse_hex(SESSION, bytes);
    Record record;

    begin(&record);
    for (size_t i = 0; i < size; i++) {
        uint8_t *alone = malloc(1); /* A sanitizer sees who looks beyond. */

        *alone = bytes[i];
        CHECK_EQ(spdy_feed(record.spdy, alone, 1), 0);
        free(alone);
    }
    CHECK_STR(record.events.data,
              "open 1 error;open 3 stdin;open 5 stdout;bytes 3 h;bytes 3 i;bytes 3 \n;end 3;"
              "reset 5;");
    done(&record);
}

TEST(a_number_that_was_used_does_not_hurt_the_next_block)
{
    uint8_t bytes[1024];
    Record record;

    begin(&record);
    CHECK_EQ(spdy_feed(record.spdy, bytes, parse_hex(ERROR_STREAM, bytes)), 0);
    /* stdin's block, but with the number 1 again, then with 2 */
    CHECK_EQ(spdy_feed(record.spdy, bytes,
                       parse_hex("80030001 00000017 00000001 00000000 0000"
                                 "c22e555c92929907000000ffff",
                                 bytes)),
             0);
    CHECK_EQ(spdy_feed(record.spdy, bytes,
                       parse_hex("80030001 00000019 00000002 00000000 0000"
                                 "c22ac5565c92925f5a02000000ffff",
                                 bytes)),
             0);
    CHECK_EQ(spdy_feed(record.spdy, bytes,
                       parse_hex("80030001 00000015 00000007 00000000 0000 c229975a5404000000ffff",
                                 bytes)),
             0);
    CHECK_STR(record.events.data, "open 1 error;open 7 stderr;");
    CHECK_STR(record.written.data, FIRST_REPLY
              "80030003000000080000000100000001"
              "80030003000000080000000200000001" REPLY("07"));
    done(&record);
}

TEST(data_that_somebody_else_takes)
{
    uint8_t bytes[1024];
    Record record;
    uint32_t id;

    begin(&record);
    CHECK_EQ(spdy_expects(record.spdy, &id), SPDY_FRAME_HEADER);
    CHECK_EQ(id, 0);
    CHECK_EQ(spdy_feed(record.spdy, bytes, parse_hex("00000003 010000", bytes)), 0);
    CHECK_EQ(spdy_expects(record.spdy, &id), 1);
    CHECK_EQ(spdy_feed(record.spdy, bytes, parse_hex("05 61", bytes)), 0);
    CHECK_EQ(spdy_expects(record.spdy, &id), 4);
    CHECK_EQ(id, 3);
    CHECK_EQ(spdy_skip(record.spdy, 3), 0);
    CHECK_EQ(spdy_expects(record.spdy, &id), 1);
    CHECK_STR(record.events.data, "bytes 3 a;");
    CHECK_EQ(spdy_skip(record.spdy, 1), 0);
    CHECK_STR(record.events.data, "bytes 3 a;end 3;");
    CHECK_EQ(spdy_feed(record.spdy, bytes, parse_hex("80030006 00000004 00", bytes)), 0);
    CHECK_EQ(spdy_expects(record.spdy, &id), 3);
    CHECK_EQ(id, 0); /* a PING, which is for nobody else */
    done(&record);
}

TEST(frames_that_mean_nothing)
{
    uint8_t bytes[1024];
    Record record;

    begin(&record);
    CHECK_EQ(spdy_feed(record.spdy, bytes,
                       parse_hex("80030006 00000004 00000002" /* an answer to no ping of ours */
                                 "80030004 00000004 00000000" /* SETTINGS */
                                 "80030009 00000008 00000001 00010000",
                                 bytes)),
             0);
    CHECK_EQ(record.events.size, 0);
    CHECK_EQ(record.written.size, 0);
    done(&record);
}

TEST(what_ends_a_connection)
{
    static const struct {
        const char *frame;
        int result;
    } cases[] = {
        {"80030005 00000000", -EBADMSG}, /* type 5 */
        {"8003000a 00000000", -EBADMSG}, /* type 10 */
        {"80030000 00000000", -EBADMSG}, /* type 0 */
        {"8003ffff 00000000", -EBADMSG}, /* type 65535 */
        {"80020001 0000000a", -EBADMSG}, /* version 2 */
        {"ff030001 0000000a", -EBADMSG}, /* version 32515 */
        {"80030001 00000009", -EBADMSG}, /* SYN_STREAM without its fixed part */
        {"80030001 00010001", -EBADMSG}, /* longer than SPDY_CONTROL_MAX */
        {"80030003 00000007", -EBADMSG}, /* RST_STREAM */
        {"80030003 00000009", -EBADMSG},
        {"80030006 00000003", -EBADMSG}, /* PING */
        {"80030007 00000004", -EBADMSG}, /* GOAWAY */
        {"80030009 00000004", -EBADMSG}, /* WINDOW_UPDATE */
        {"80030008 00000003", -EBADMSG}, /* HEADERS */
        {"80030008 00000008 00000001 ffffffff", -EBADMSG},
        {"80030001 0000000e 00000001 00000000 0000 ffffffff", -EBADMSG}, /* no zlib */
        {"80030001 00000029 00000000 00000000 0000"                      /* number 0 */
         "78f9e3c6a7c26260606004a7b392a2d4c45c6851c29a0a0a6800000000ffff",
         -EBADMSG},
        {"80030007 00000008 00000000 00000000", -ECONNRESET},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        uint8_t bytes[256];
        size_t size = parse_hex(cases[i].frame, bytes);
        Record record;

        begin(&record);
        CHECK_EQ(spdy_feed(record.spdy, bytes, size), cases[i].result);
        /* And stays so. */
        CHECK_EQ(spdy_feed(record.spdy, bytes, size), cases[i].result);
        CHECK_EQ(record.events.size, 0);
        done(&record);
    }
}

TEST(large_data_is_passed_on_in_pieces)
{
    static uint8_t bytes[4096];
    uint8_t header[8];
    Record record;
    size_t left = 0xffffff;

    begin(&record);
    CHECK_EQ(spdy_feed(record.spdy, header, parse_hex("00000003 00ffffff", header)), 0);
    while (left > 0) {
        size_t size = left < sizeof(bytes) ? left : sizeof(bytes);

        CHECK_EQ(spdy_feed(record.spdy, bytes, size), 0);
        left -= size;
        record.events.size = 0;
    }
    CHECK_EQ(spdy_feed(record.spdy, header, parse_hex("00000003 01000000", header)), 0);
    CHECK_STR(record.events.data, "end 3;");
    done(&record);
}

TEST(what_we_write)
{
    static char large[SPDY_DATA_MAX + 1];
    Record record;

    begin(&record);
    spdy_write(record.spdy, 5, "hello", 5);
    spdy_end(record.spdy, 5);
    spdy_reset(record.spdy, 3, SPDY_CANCEL);
    CHECK_STR(record.written.data,
              "000000050000000568656c6c6f"
              "0000000501000000"
              "80030003000000080000000300000005");
    record.written.size = 0;
    spdy_write(record.spdy, 5, large, sizeof(large));
    CHECK_EQ(record.written.size, 2 * (sizeof(large) + 16));
    CHECK(strncmp(record.written.data, "0000000500010000", 16) == 0);
    CHECK_STR(record.written.data + record.written.size - 18, "000000050000000100");
    record.written.size = 0;
    spdy_goaway(record.spdy, SPDY_GOAWAY_OK);
    spdy_write(record.spdy, 5, "x", 1);
    spdy_reset(record.spdy, 3, SPDY_CANCEL);
    CHECK_STR(record.written.data, "80030007000000080000000000000000");
    done(&record);
}

TEST_MAIN
