/* SPDX-License-Identifier: Apache-2.0 */
/* Scope-bound ownership: a variable that owns something gives it back when its scope ends, on
 * every path; TAKE and take_fd hand the ownership on. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(function) __attribute__((cleanup(function)))

static inline void cleanup_free(void *pointer)
{
    free(*(void **)pointer);
}

static inline void cleanup_close(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

static inline void cleanup_fclose(FILE **stream)
{
    if (*stream)
        (void)fclose(*stream);
}

#define AUTO_FREE CLEANUP(cleanup_free)
#define AUTO_CLOSE CLEANUP(cleanup_close)
#define AUTO_FCLOSE CLEANUP(cleanup_fclose)

/* The value of `pointer`, which is NULL from then on. */
#define TAKE(pointer)                                                                              \
    __extension__({                                                                                \
        __auto_type take_value = (pointer);                                                        \
        (pointer) = NULL;                                                                          \
        take_value;                                                                                \
    })

/* The descriptor in `*fd`, which is -1 from then on. */
static inline int take_fd(int *fd)
{
    int value = *fd;
    *fd = -1;
    return value;
}
