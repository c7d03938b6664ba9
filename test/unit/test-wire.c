/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/api/wire.h"

#include <stdlib.h>

#include "runtime_v1.pb-c.h"
#include "shared/cleanup.h"
#include "test.h"

static FailureCode check(const char *bytes, size_t size, Failure *why)
{
    int r = wire_check(&runtime__v1__image_status_request__descriptor, (const uint8_t *)bytes, size,
                       why);

    return r < 0 ? why->code : FAILURE_NONE;
}

/* ImageStatusRequest { image { image: `text` } } */
static FailureCode check_text(const char *text, size_t size, Failure *why)
{
    char bytes[64] = {0x0a, (char)(size + 2), 0x0a, (char)size};

    memcpy(bytes + 4, text, size);
    return check(bytes, size + 4, why);
}

TEST(good_strings)
{
    static const char *const texts[] = {
        "",
        "busybox",
        "\x7f\n",
        "\xc2\x80",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xed\x9f\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
    };
    Failure why;

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        CHECK_EQ(check_text(texts[i], strlen(texts[i]), &why), FAILURE_NONE);
    CHECK_EQ(check("", 0, &why), FAILURE_NONE);
}

TEST(bad_strings_are_named)
{
    static const char *const texts[] = {
        "\x80",
        "\xc0\x80",
        "\xc1\xbf",
        "\xc2",
        "\xe0\x9f\xbf",
        "\xed\xa0\x80",
        "\xef\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "a\xff",
        "\xe2\x28\xa1",
    };
    Failure why;

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        CHECK_EQ(check_text(texts[i], strlen(texts[i]), &why), FAILURE_INVALID_ARGUMENT);
        CHECK_STR(why.text, "runtime.v1.ImageSpec.image is not UTF-8");
    }
    CHECK_EQ(check_text("a\0b", 3, &why), FAILURE_INVALID_ARGUMENT);
    CHECK_STR(why.text, "runtime.v1.ImageSpec.image has a NUL byte");
}

TEST(what_is_no_message)
{
    static const struct {
        const char *bytes;
        size_t size;
    } cases[] = {
        {"\x0a", 1},                                          /* a tag alone */
        {"\x0a\x05zz", 4},                                    /* more announced than there is */
        {"\x0b", 1},                                          /* a group */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11}, /* an endless number */
        {"\x08\x80", 2},                                      /* an unfinished one */
        {"\x09zzzz", 5},                                      /* four bytes for eight */
    };
    Failure why;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        CHECK_EQ(check(cases[i].bytes, cases[i].size, &why), FAILURE_INVALID_ARGUMENT);
        CHECK_STR(why.text, "malformed runtime.v1.ImageStatusRequest");
    }
}

TEST(fields_that_nobody_knows_pass)
{
    Failure why;

    /* field 100: a number, 4 bytes, 8 bytes, a string that is not one */
    CHECK_EQ(check("\xa0\x06\x01\xa5\x06zzzz\xa1\x06zzzzzzzz\xa2\x06\x01\xff", 23, &why),
             FAILURE_NONE);
}

TEST(many_small_fields_are_refused)
{
    enum { SIZE = 2 * (WIRE_FIELDS_MAX + 1) };
    AUTO_FREE char *bytes = malloc(SIZE);
    Failure why;

    CHECK(bytes);
    for (size_t i = 0; i < SIZE; i += 2) {
        bytes[i] = 0x0a; /* an empty image */
        bytes[i + 1] = 0;
    }
    CHECK_EQ(check(bytes, SIZE - 2, &why), FAILURE_NONE);
    CHECK_EQ(check(bytes, SIZE, &why), FAILURE_RESOURCE_EXHAUSTED);
}

TEST_MAIN
