/* SPDX-License-Identifier: Apache-2.0 */
/* What people read: tables with columns as wide as they need, sizes, ages. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    FORMAT_COLUMNS_MAX = 8,
    FORMAT_SIZE = 16,
};

typedef struct Table {
    size_t columns;
    char **cells; /* row by row */
    size_t count;
} Table;

/* Adds a row: as many strings as there are columns, copied; control bytes are shown as '?'.
 * −ENOMEM. */
int table_add(Table *table, const char *const *cells);
void table_print(const Table *table);
void table_done(Table *table);

/* "4.3 MB", "512 B". */
void format_size(uint64_t bytes, char ret[FORMAT_SIZE]);

/* "3 min", "2 days": how long ago a CLOCK_REALTIME time is. */
void format_age(int64_t real_ns, char ret[FORMAT_SIZE]);
