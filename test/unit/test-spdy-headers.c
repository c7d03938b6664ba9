/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "podmon/stream/portforward.h"
#include "podmon/stream/spdy_headers.h"
#include "test.h"

static SpdyHeaders headers;

/* A block as the draft's own client sends it. */
static int feed(SpdyInflater *inflater, const char *hex)
{
    uint8_t bytes[512];
    size_t size = 0;

    for (; *hex; hex += 2, size++) {
        unsigned value;
        if (sscanf(hex, "%2x", &value) != 1)
            return -EINVAL;
        bytes[size] = (uint8_t)value;
    }
    return spdy_inflate(inflater, bytes, size, &headers);
}

TEST(dictionary_of_the_draft)
{
    uint8_t dictionary[SPDY_DICTIONARY_SIZE];

    spdy_dictionary(dictionary);
    CHECK_EQ(adler32(adler32(0, NULL, 0), dictionary, sizeof(dictionary)), 0xe3c6a7c2);
    CHECK_EQ(crc32(0, dictionary, sizeof(dictionary)), 0x04c8490e);
}

TEST(blocks_of_a_go_client)
{
    static const char *const blocks[] = {
        "78f9e3c6a7c26260606004a7b392a2d4c45c6851c29a0a0a6800000000ffff",
        "c22e555c92929907000000ffff",
        "c22ac5565c92925f5a02000000ffff",
        "c229975a5404000000ffff",
    };
    static const char *const types[] = {"error", "stdin", "stdout", "stderr"};
    SpdyInflater inflater;

    CHECK_EQ(spdy_inflater_init(&inflater), 0);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(feed(&inflater, blocks[i]), 0);
        CHECK_EQ(headers.count, 1);
        CHECK_STR(spdy_headers_get(&headers, "streamType"), types[i]);
        CHECK(!spdy_headers_get(&headers, "port"));
    }
    spdy_inflater_done(&inflater);
}

/* Compresses without the dictionary, which is as good. */
static int feed_plain(const uint8_t *plain, size_t size)
{
    static uint8_t packed[256 * 1024];
    z_stream zlib = {0};
    SpdyInflater inflater;
    int r;

    (void)deflateInit(&zlib, 9);
    zlib.next_in = (Bytef *)(uintptr_t)plain;
    zlib.avail_in = (uInt)size;
    zlib.next_out = packed;
    zlib.avail_out = sizeof(packed);
    (void)deflate(&zlib, Z_SYNC_FLUSH);
    (void)spdy_inflater_init(&inflater);
    r = spdy_inflate(&inflater, packed, sizeof(packed) - zlib.avail_out, &headers);
    spdy_inflater_done(&inflater);
    (void)deflateEnd(&zlib);
    return r;
}

TEST(headers_of_a_port)
{
    static const uint8_t plain[] =
        "\0\0\0\3\0\0\0\12streamtype\0\0\0\4data\0\0\0\4port\0\0\0\4"
        "8080\0\0\0\11requestid\0\0\0\1"
        "0";
    PortStream stream;

    CHECK_EQ(feed_plain(plain, sizeof(plain) - 1), 0);
    CHECK_EQ(headers.count, 3);
    CHECK_EQ(port_stream_parse(7, &headers, &stream), 0);
    CHECK_EQ(stream.port, 8080);
    CHECK(!stream.is_error);
    CHECK_STR(stream.request, "0");
}

TEST(what_is_no_block)
{
    static const struct {
        const char *bytes;
        size_t size;
    } cases[] = {
        {"", 0},
        {"\0\0", 2},
        {"\0\0\0\1", 4},
        {"\0\0\0\1\0\0\0\1", 8},
        {"\0\0\0\1\377\377\377\377a", 9},
        {"\0\0\0\1\0\0\0\0\0\0\0\0", 12},          /* no name */
        {"\0\0\0\1\0\0\0\1a\0\0\0\2b", 14},        /* value too long */
        {"\377\377\377\377\0\0\0\1a\0\0\0\0", 13}, /* too many */
        {"\0\0\0\0more", 8},
    };
    static uint8_t bomb[128 * 1024];

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        CHECK_EQ(feed_plain((const uint8_t *)cases[i].bytes, cases[i].size), -EBADMSG);
    CHECK_EQ(feed_plain(bomb, sizeof(bomb)), -EBADMSG);
}

TEST(what_is_no_zlib)
{
    SpdyInflater inflater;

    CHECK_EQ(spdy_inflater_init(&inflater), 0);
    CHECK_EQ(feed(&inflater, "ffffffff"), -EBADMSG);
    spdy_inflater_done(&inflater);
    CHECK_EQ(spdy_inflater_init(&inflater), 0);
    CHECK_EQ(feed(&inflater, "78f900000001"), -EBADMSG); /* another dictionary */
    spdy_inflater_done(&inflater);
}

TEST_MAIN
