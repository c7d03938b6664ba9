/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/number.h"

#include <errno.h>

#include "test/unit/test.h"

static const char *const no_numbers[] = {
    "",    "-",   "+1",  " 1", "1 ",  "1\n",   "0x1",
    "1e3", "1.0", "--1", "1-", "abc", "1_000", "99999999999999999999999x"};

TEST(what_is_no_number)
{
    for (size_t i = 0; i < sizeof(no_numbers) / sizeof(no_numbers[0]); i++) {
        uint64_t plain = 7;
        int64_t number = 7;
        CHECK_EQ(number_parse_unsigned(no_numbers[i], UINT64_MAX, &plain), -EINVAL);
        CHECK_EQ(number_parse_signed(no_numbers[i], INT64_MIN, INT64_MAX, &number), -EINVAL);
        CHECK(plain == 7 && number == 7);
    }
}

TEST(unsigned_range)
{
    uint64_t number = 7;

    CHECK_EQ(number_parse_unsigned("0", 0, &number), 0);
    CHECK_EQ(number, 0);
    CHECK_EQ(number_parse_unsigned("18446744073709551615", UINT64_MAX, &number), 0);
    CHECK(number == UINT64_MAX);
    CHECK_EQ(number_parse_unsigned("18446744073709551616", UINT64_MAX, &number), -ERANGE);
    CHECK_EQ(number_parse_unsigned("99999999999999999999999", UINT64_MAX, &number), -ERANGE);
    CHECK_EQ(number_parse_unsigned("65536", 65535, &number), -ERANGE);
    CHECK_EQ(number_parse_unsigned("-1", UINT64_MAX, &number), -ERANGE);
    CHECK(number == UINT64_MAX);
    CHECK_EQ(number_parse_unsigned("007", 7, &number), 0);
    CHECK_EQ(number, 7);
}

TEST(signed_range)
{
    int64_t number = 7;

    CHECK_EQ(number_parse_signed("-9223372036854775808", INT64_MIN, INT64_MAX, &number), 0);
    CHECK(number == INT64_MIN);
    CHECK_EQ(number_parse_signed("9223372036854775807", INT64_MIN, INT64_MAX, &number), 0);
    CHECK(number == INT64_MAX);
    CHECK_EQ(number_parse_signed("-9223372036854775809", INT64_MIN, INT64_MAX, &number), -ERANGE);
    CHECK_EQ(number_parse_signed("9223372036854775808", INT64_MIN, INT64_MAX, &number), -ERANGE);
    CHECK_EQ(number_parse_signed("-1001", -1000, 1000, &number), -ERANGE);
    CHECK_EQ(number_parse_signed("1001", -1000, 1000, &number), -ERANGE);
    CHECK(number == INT64_MAX);
    CHECK_EQ(number_parse_signed("-1000", -1000, 1000, &number), 0);
    CHECK_EQ(number, -1000);
    CHECK_EQ(number_parse_signed("-0", -1, 1, &number), 0);
    CHECK_EQ(number, 0);
}

TEST_MAIN
