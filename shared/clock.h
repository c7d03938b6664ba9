/* SPDX-License-Identifier: Apache-2.0 */
/* The two clocks: deadlines are monotonic, what a client reads is real time. */
#pragma once

#include <stdint.h>

#define CLOCK_MILLISECOND UINT64_C(1000000)
#define CLOCK_SECOND UINT64_C(1000000000)

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t clock_monotonic(void);

/* Nanoseconds of CLOCK_REALTIME since 1970; > 0. */
int64_t clock_real(void);

enum { CLOCK_TEXT_SIZE = 31 };

/* "2006-01-02T15:04:05.999999999Z", nine digits always, UTC; CLOCK_TEXT_SIZE with its NUL. */
void clock_format(int64_t real_ns, char *ret);
