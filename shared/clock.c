/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/clock.h"

#include <stdio.h>
#include <time.h>

/* Neither clock can fail: both exist on every Linux and the pointer is ours. */
static struct timespec clock_read(clockid_t clock)
{
    struct timespec now = {0};

    (void)clock_gettime(clock, &now);
    return now;
}

uint64_t clock_monotonic(void)
{
    struct timespec now = clock_read(CLOCK_MONOTONIC);

    return (uint64_t)now.tv_sec * CLOCK_SECOND + (uint64_t)now.tv_nsec;
}

int64_t clock_real(void)
{
    struct timespec now = clock_read(CLOCK_REALTIME);

    return (int64_t)now.tv_sec * (int64_t)CLOCK_SECOND + (int64_t)now.tv_nsec;
}

void clock_format(int64_t real_ns, char *ret)
{
    int64_t seconds = real_ns / (int64_t)CLOCK_SECOND, rest = real_ns % (int64_t)CLOCK_SECOND;
    struct tm parts = {0};
    time_t time;
    size_t used;

    if (rest < 0) {
        seconds--;
        rest += (int64_t)CLOCK_SECOND;
    }
    time = (time_t)seconds;
    /* 64 bits of nanoseconds reach from 1677 to 2262: four digits of year always. */
    (void)gmtime_r(&time, &parts);
    used = strftime(ret, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(ret + used, CLOCK_TEXT_SIZE - used, ".%09ldZ", (long)rest);
}
