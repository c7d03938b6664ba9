/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/grpc/hpack.h"

#include "test.h"

/* The examples' form of RFC 7541, C.2.2, with a new name instead of an indexed one. */
TEST(a_short_field)
{
    static const char expected[] =
        "\0\x0bgrpc-status\x01"
        "0";
    uint8_t bytes[64];
    uint8_t *end = hpack_put_field(bytes, "grpc-status", 11, "0", 1);

    CHECK_EQ(end - bytes, sizeof(expected) - 1);
    CHECK(memcmp(bytes, expected, sizeof(expected) - 1) == 0);
}

TEST(an_empty_value)
{
    uint8_t bytes[64];

    CHECK_EQ(hpack_put_field(bytes, "a", 1, NULL, 0) - bytes, 4);
    CHECK(memcmp(bytes, "\0\1a\0", 4) == 0);
}

/* RFC 7541, 5.1: 126 fits the prefix of seven bits, 127 is the first that does not. */
TEST(lengths_around_the_prefix)
{
    static const struct {
        size_t size;
        const char *length;
        size_t length_size;
    } cases[] = {
        {126, "\x7e", 1},         {127, "\x7f\x00", 2},      {254, "\x7f\x7f", 2},
        {255, "\x7f\x80\x01", 3}, {1337, "\x7f\xba\x09", 3},
    };
    char value[1400];
    uint8_t bytes[HPACK_FIELD_SIZE(1, sizeof(value))];

    memset(value, 'v', sizeof(value));
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const uint8_t *end = hpack_put_field(bytes, "n", 1, value, cases[i].size);

        CHECK_EQ(end - bytes, 3 + cases[i].length_size + cases[i].size);
        CHECK(memcmp(bytes + 3, cases[i].length, cases[i].length_size) == 0);
        CHECK_EQ(end[-1], 'v');
    }
}

TEST_MAIN
