/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "podmon/stream/base64.h"
#include "podmon/stream/handshake.h"
#include "podmon/stream/sha1.h"
#include "podmon/stream/websocket.h"
#include "shared/text.h"
#include "test.h"

typedef struct Record {
    WebSocket *socket;
    Text events, written;
} Record;

static void on_message(void *data, bool is_text, const uint8_t *bytes, size_t size)
{
    Record *record = data;

    (void)text_print(&record->events, "%s %.*s;", is_text ? "text" : "binary", (int)size,
                     (const char *)bytes);
}

static void on_write(void *data, const struct iovec *parts, int count)
{
    Record *record = data;

    for (int i = 0; i < count; i++)
        for (size_t j = 0; j < parts[i].iov_len; j++)
            (void)text_print(&record->written, "%02x", ((const uint8_t *)parts[i].iov_base)[j]);
}

static const WebSocketEvents EVENTS = {on_message, on_write};

static void begin(Record *record)
{
    *record = (Record){0};
    if (websocket_new(&EVENTS, record, &record->socket) < 0)
        abort();
}

static void done(Record *record)
{
    websocket_free(record->socket);
    text_done(&record->events);
    text_done(&record->written);
}

/* A short frame with a mask of zeroes. */
static int feed(Record *record, uint8_t first, const char *payload, size_t size)
{
    uint8_t frame[256] = {first, (uint8_t)(0x80 | size)};

    memcpy(frame + 6, payload, size);
    return websocket_feed(record->socket, frame, size + 6);
}

TEST(messages)
{
    Record record;

    begin(&record);
    CHECK_EQ(feed(&record, 0x82, "\1abc", 4), 0);
    CHECK_EQ(feed(&record, 0x81, "text", 4), 0);
    CHECK_STR(record.events.data, "binary \1abc;text text;");
    done(&record);
}

TEST(fragments_with_a_ping_between)
{
    Record record;

    begin(&record);
    CHECK_EQ(feed(&record, 0x02, "ab", 2), 0);
    CHECK_EQ(feed(&record, 0x89, "p", 1), 0);
    CHECK_EQ(feed(&record, 0x00, "cd", 2), 0);
    CHECK_EQ(feed(&record, 0x80, "ef", 2), 0);
    CHECK_STR(record.events.data, "binary abcdef;");
    CHECK_STR(record.written.data, "8a0170");
    done(&record);
}

/* A masked binary frame with 2,000 letters, given in portions. */
static int feed_large(Record *record, uint8_t first, size_t portion)
{
    static const uint8_t mask[4] = {0x11, 0x22, 0x33, 0xf4};
    uint8_t frame[8 + 2000] = {first, 0x80 | 126, 2000 >> 8, 2000 & 0xff};
    int r = 0;

    memcpy(frame + 4, mask, sizeof(mask));
    for (size_t i = 0; i < 2000; i++)
        frame[8 + i] = (uint8_t)('a' + i % 26) ^ mask[i % 4];
    for (size_t i = 0; r == 0 && i < sizeof(frame); i += portion)
        r = websocket_feed(record->socket, frame + i,
                           sizeof(frame) - i < portion ? sizeof(frame) - i : portion);
    return r;
}

TEST(large_messages)
{
    static const size_t portions[] = {1, 2, 3, 7, 9, 13, 1000, 2007, 2008};

    for (size_t i = 0; i < 2 * sizeof(portions) / sizeof(*portions); i++) {
        size_t portion = portions[i / 2];
        bool is_split = i % 2 == 1;
        Record record;
        char *at;

        begin(&record);
        CHECK_EQ(feed(&record, 0x82, "one", 3), 0);
        CHECK_EQ(feed_large(&record, is_split ? 0x02 : 0x82, portion), 0);
        if (is_split) {
            CHECK_STR(record.events.data, "binary one;");
            CHECK_EQ(feed(&record, 0x89, "p", 1), 0);
            CHECK_EQ(feed_large(&record, 0x80, portion), 0);
        }
        CHECK_EQ(feed(&record, 0x82, "two", 3), 0);
        CHECK_EQ(record.events.size,
                 strlen("binary one;binary ;binary two;") + (is_split ? 4000 : 2000));
        at = strchr(record.events.data, ';') + 1 + strlen("binary ");
        for (size_t j = 0; j < 2000; j++)
            CHECK_EQ(at[j], 'a' + (int)(j % 26));
        CHECK_STR(at + (is_split ? 4000 : 2000), ";binary two;");
        done(&record);
    }
}

TEST(a_large_message_inside_another)
{
    Record record;

    begin(&record);
    CHECK_EQ(feed(&record, 0x02, "one", 3), 0);
    CHECK_EQ(feed_large(&record, 0x82, 2008), -EBADMSG);
    CHECK(record.events.size == 0);
    done(&record);
}

TEST(unmasked_frame)
{
    const uint8_t frame[] = {0x82, 1, 'a'};
    Record record;

    begin(&record);
    CHECK_EQ(websocket_feed(record.socket, frame, sizeof(frame)), -EBADMSG);
    CHECK(record.written.data && strncmp(record.written.data, "88", 2) == 0);
    CHECK(strstr(record.written.data, "03ea")); /* 1002 */
    done(&record);
}

TEST(message_that_is_too_large)
{
    const uint8_t frame[] = {0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1, 0, 0, 0, 0, 0};
    Record record;

    begin(&record);
    CHECK_EQ(websocket_feed(record.socket, frame, sizeof(frame)), -EBADMSG);
    CHECK(strstr(record.written.data, "03f1")); /* 1009 */
    done(&record);
}

TEST(client_closes)
{
    Record record;

    begin(&record);
    CHECK_EQ(feed(&record, 0x88, "\3\350", 2), -ECONNRESET);
    CHECK_STR(record.written.data, "880203e8");
    websocket_close(record.socket);
    CHECK_STR(record.written.data, "880203e8");
    done(&record);
}

TEST(what_we_write)
{
    static char large[1000];
    struct iovec parts[2] = {{(void *)(uintptr_t) "\1", 1}, {NULL, 0}};
    Record record;

    begin(&record);
    websocket_send(record.socket, false, parts, 2);
    CHECK_STR(record.written.data, "820101");
    record.written.size = 0;
    parts[0] = (struct iovec){(void *)(uintptr_t) "1aGVsbG8=", 9};
    websocket_send(record.socket, true, parts, 1);
    CHECK_STR(record.written.data,
              "8109316147567362"
              "47383d");
    record.written.size = 0;
    parts[0] = (struct iovec){large, sizeof(large)};
    websocket_send(record.socket, false, parts, 1);
    CHECK(strncmp(record.written.data, "827e03e8", 8) == 0);
    record.written.size = 0;
    websocket_close(record.socket);
    websocket_send(record.socket, false, parts, 1);
    CHECK_STR(record.written.data, "880203e8");
    done(&record);
}

TEST(digest)
{
    static const struct {
        const char *text, *hex;
    } cases[] = {
        {"", "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        {"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        uint8_t bytes[SHA1_SIZE];
        char hex[2 * SHA1_SIZE + 1];

        sha1(cases[i].text, strlen(cases[i].text), bytes);
        for (int j = 0; j < SHA1_SIZE; j++)
            (void)sprintf(hex + 2 * j, "%02x", bytes[j]);
        CHECK_STR(hex, cases[i].hex);
    }
}

TEST(base64)
{
    static const struct {
        const char *plain, *text;
    } cases[] = {{"", ""},        {"f", "Zg=="},        {"fo", "Zm8="},
                 {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"\377\376", "//4="}};
    static const char *const bad[] = {"a",    "ab",   "abc",   "=abc", "a=bc",
                                      "ab=c", "Zg=a", "Zm9v ", "Zm9\n"};

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char text[16] = "";
        uint8_t plain[16] = {0};
        size_t size = strlen(cases[i].plain);

        CHECK_EQ(base64_encode(cases[i].plain, size, text), strlen(cases[i].text));
        CHECK_STR(text, cases[i].text);
        CHECK_EQ(base64_decode(text, strlen(text), plain), size);
        CHECK(memcmp(plain, cases[i].plain, size) == 0);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        uint8_t plain[16];

        CHECK_EQ(base64_decode(bad[i], strlen(bad[i]), plain), -EINVAL);
    }
}

/* ---- the handshake */

typedef struct Case {
    StreamUse use;
    const char *method, *headers;
    const char *answer;   /* its beginning */
    const char *protocol; /* NULL: refused */
} Case;

#define SPDY "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
#define WEB                                                                                        \
    "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"                                    \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
#define PROTOCOL "X-Stream-Protocol-Version: "
#define SUB "Sec-WebSocket-Protocol: "

TEST(handshakes)
{
    static const Case cases[] = {
        {STREAM_USE_COMMAND, "POST",
         SPDY PROTOCOL "v5.channel.k8s.io\r\n" PROTOCOL "v4.channel.k8s.io\r\n", "HTTP/1.1 101 ",
         "v4.channel.k8s.io"},
        {STREAM_USE_COMMAND, "POST", SPDY PROTOCOL "v2.channel.k8s.io, v4.channel.k8s.io\r\n",
         "HTTP/1.1 101 ", "v2.channel.k8s.io"},
        {STREAM_USE_COMMAND, "POST", SPDY, "HTTP/1.1 400 ", NULL},
        {STREAM_USE_COMMAND, "POST", SPDY PROTOCOL " , ,\r\n", "HTTP/1.1 400 ", NULL},
        {STREAM_USE_COMMAND, "POST", SPDY PROTOCOL "v9.channel.k8s.io\r\n", "HTTP/1.1 403 ", NULL},
        {STREAM_USE_COMMAND, "POST", PROTOCOL "v4.channel.k8s.io\r\n", "HTTP/1.1 400 ", NULL},
        {STREAM_USE_PORTS, "POST", SPDY PROTOCOL "v4.channel.k8s.io\r\n", "HTTP/1.1 403 ", NULL},
        {STREAM_USE_PORTS, "POST", SPDY PROTOCOL "portforward.k8s.io\r\n", "HTTP/1.1 101 ",
         "portforward.k8s.io"},
        {STREAM_USE_COMMAND, "GET", WEB SUB "v5.channel.k8s.io\r\n", "HTTP/1.1 101 ",
         "v5.channel.k8s.io"},
        {STREAM_USE_COMMAND, "GET", WEB SUB "x, v4.base64.channel.k8s.io\r\n", "HTTP/1.1 101 ",
         "v4.base64.channel.k8s.io"},
        {STREAM_USE_COMMAND, "GET", WEB, "HTTP/1.1 101 ", ""},
        {STREAM_USE_COMMAND, "GET", WEB SUB "v2.channel.k8s.io\r\n", "HTTP/1.1 403 ", NULL},
        {STREAM_USE_COMMAND, "POST", WEB, "HTTP/1.1 405 ", NULL},
        {STREAM_USE_COMMAND, "GET", "Connection: Upgrade\r\nUpgrade: websocket\r\n",
         "HTTP/1.1 400 ", NULL},
        {STREAM_USE_COMMAND, "GET",
         "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
         "HTTP/1.1 400 ", NULL},
        {STREAM_USE_PORTS, "GET", WEB SUB "SPDY/3.1+portforward.k8s.io\r\n", "HTTP/1.1 101 ",
         "SPDY/3.1+portforward.k8s.io"},
        {STREAM_USE_PORTS, "GET", WEB SUB "v5.channel.k8s.io\r\n", "HTTP/1.1 403 ", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char text[1024];
        HttpHead head;
        Handshake handshake;

        (void)snprintf(text, sizeof(text), "%s /exec/x HTTP/1.1\r\n%s\r\n", cases[i].method,
                       cases[i].headers);
        CHECK_EQ(http_head_parse(text, strlen(text), &head), 1);
        handshake_answer(&head, cases[i].use, &handshake);
        CHECK(strncmp(handshake.answer, cases[i].answer, strlen(cases[i].answer)) == 0);
        CHECK_EQ(handshake.protocol != NULL, cases[i].protocol != NULL);
        if (handshake.protocol)
            CHECK_STR(handshake.protocol->name, cases[i].protocol);
        if (handshake.protocol && handshake.protocol->is_websocket)
            CHECK(strstr(handshake.answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        CHECK_EQ(strlen(handshake.answer), handshake.size);
        if (strcmp(cases[i].answer, "HTTP/1.1 403 ") == 0 && strstr(cases[i].headers, PROTOCOL))
            CHECK(strstr(handshake.answer, "\r\nX-Accepted-Stream-Protocol-Versions: "));
    }
}

TEST_MAIN
