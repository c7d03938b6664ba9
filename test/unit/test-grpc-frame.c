/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/grpc/frame.h"

#include "test.h"

enum { LIMIT = 16 };

static FailureCode unwrap(const char *body, size_t size, const uint8_t **ret, size_t *ret_size)
{
    Failure why = {.code = FAILURE_NONE};
    int r = frame_unwrap((const uint8_t *)body, size, LIMIT, ret, ret_size, &why);

    return r < 0 ? why.code : FAILURE_NONE;
}

TEST(one_whole_message)
{
    const uint8_t *message = NULL;
    size_t size = 99;

    CHECK_EQ(unwrap("\0\0\0\0\3abc", 8, &message, &size), FAILURE_NONE);
    CHECK_EQ(size, 3);
    CHECK(memcmp(message, "abc", 3) == 0);
    CHECK_EQ(unwrap("\0\0\0\0\0", 5, &message, &size), FAILURE_NONE);
    CHECK_EQ(size, 0);
    CHECK_EQ(unwrap("\0\0\0\0\x10"
                    "0123456789abcdef",
                    21, &message, &size),
             FAILURE_NONE);
    CHECK_EQ(size, LIMIT);
}

TEST(no_message)
{
    static const struct {
        const char *body;
        size_t size;
        FailureCode code;
    } cases[] = {
        {"", 0, FAILURE_INTERNAL},
        {"\0\0\0\0", 4, FAILURE_INTERNAL},
        {"\0\0\0\0\1", 5, FAILURE_INTERNAL},
        {"\0\0\0\0\1ab", 7, FAILURE_INTERNAL},
        {"\0\0\0\0\1a\0\0\0\0\1b", 12, FAILURE_INTERNAL},
        {"\1\0\0\0\1a", 6, FAILURE_UNIMPLEMENTED},
        {"\2\0\0\0\1a", 6, FAILURE_INTERNAL},
        {"\0\0\0\0\x11"
         "0123456789abcdefg",
         22, FAILURE_RESOURCE_EXHAUSTED},
        {"\0\xff\xff\xff\xff", 5, FAILURE_RESOURCE_EXHAUSTED},
    };
    const uint8_t *message;
    size_t size;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        CHECK_EQ(unwrap(cases[i].body, cases[i].size, &message, &size), cases[i].code);
}

TEST(prefix_and_back)
{
    uint8_t bytes[FRAME_PREFIX_SIZE];

    frame_write_prefix(bytes, 0x01020304);
    CHECK(memcmp(bytes, "\0\1\2\3\4", sizeof(bytes)) == 0);
}

TEST(timeouts)
{
    static const struct {
        const char *text;
        uint64_t nanoseconds;
    } cases[] = {
        {"0n", 0},
        {"1n", 1},
        {"5u", 5000},
        {"250m", 250000000},
        {"1S", 1000000000},
        {"2M", UINT64_C(120000000000)},
        {"1H", UINT64_C(3600000000000)},
        {"99999999S", UINT64_C(99999999000000000)},
        {"99999999H", UINT64_MAX},
    };
    static const char *const wrong[] = {"",     "S",          "1",   "1s", "-1S",
                                        "1.5S", "123456789S", " 1S", "+1S"};
    uint64_t value;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        CHECK_EQ(frame_parse_timeout(cases[i].text, strlen(cases[i].text), &value), 0);
        CHECK(value == cases[i].nanoseconds);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        CHECK(frame_parse_timeout(wrong[i], strlen(wrong[i]), &value) < 0);
}

TEST(status_texts)
{
    char wire[FRAME_TEXT_SIZE], longest[2 * FAILURE_TEXT_MAX];
    size_t size = frame_encode_text("100% of \"\xc3\xbc\"\n", wire);

    CHECK_EQ(size, strlen("100%25 of \"%C3%BC\"%0A"));
    CHECK(memcmp(wire, "100%25 of \"%C3%BC\"%0A", size) == 0);
    CHECK_EQ(frame_encode_text("", wire), 0);

    memset(longest, 1, sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    CHECK_EQ(frame_encode_text(longest, wire), FRAME_TEXT_SIZE);
}

TEST_MAIN
