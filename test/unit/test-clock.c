/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/clock.h"

#include <time.h>

#include "test/unit/test.h"

TEST(text_of_times)
{
    char text[CLOCK_TEXT_SIZE];

    clock_format(0, text);
    CHECK_STR(text, "1970-01-01T00:00:00.000000000Z");
    clock_format(INT64_C(1136239445999999999), text);
    CHECK_STR(text, "2006-01-02T22:04:05.999999999Z");
    clock_format(INT64_C(1709164800000000001), text);
    CHECK_STR(text, "2024-02-29T00:00:00.000000001Z");
    clock_format(-1, text);
    CHECK_STR(text, "1969-12-31T23:59:59.999999999Z");
    clock_format(INT64_MAX, text);
    CHECK_STR(text, "2262-04-11T23:47:16.854775807Z");
    clock_format(INT64_MIN, text);
    CHECK_STR(text, "1677-09-21T00:12:43.145224192Z");
}

TEST(clocks_run)
{
    uint64_t before = clock_monotonic();
    int64_t real = clock_real();
    struct timespec pause = {.tv_nsec = 2000000};

    CHECK(real / (int64_t)CLOCK_SECOND - (int64_t)time(NULL) <= 1);
    CHECK((int64_t)time(NULL) - real / (int64_t)CLOCK_SECOND <= 1);
    CHECK(nanosleep(&pause, NULL) == 0);
    CHECK(clock_monotonic() - before >= 2 * CLOCK_MILLISECOND);
    CHECK(clock_monotonic() - before < 60 * CLOCK_SECOND);
}

TEST_MAIN
