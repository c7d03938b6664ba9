/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/ctl/format.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/clock.h"
#include "shared/text.h"

int table_add(Table *table, const char *const *cells)
{
    char **more = realloc(table->cells, (table->count + table->columns) * sizeof(*more));

    if (!more)
        return -ENOMEM;
    table->cells = more;
    for (size_t i = 0; i < table->columns; i++) {
        size_t size = strlen(cells[i]) + 1;
        char *copy = malloc(size);

        if (!copy) {
            while (i-- > 0)
                free(more[table->count + i]);
            return -ENOMEM;
        }
        text_make_safe(cells[i], copy, size);
        more[table->count + i] = copy;
    }
    table->count += table->columns;
    return 0;
}

void table_print(const Table *table)
{
    size_t widths[FORMAT_COLUMNS_MAX] = {0};

    for (size_t i = 0; i < table->count; i++) {
        size_t width = strlen(table->cells[i]);

        if (width > widths[i % table->columns])
            widths[i % table->columns] = width;
    }
    for (size_t i = 0; i < table->count; i++) {
        size_t column = i % table->columns;

        if (column + 1 == table->columns)
            printf("%s\n", table->cells[i]);
        else
            printf("%-*s  ", (int)widths[column], table->cells[i]);
    }
}

void table_done(Table *table)
{
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
}

void format_size(uint64_t bytes, char ret[FORMAT_SIZE])
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB"};
    double value = (double)bytes / 1000;
    size_t unit = 0;

    if (bytes < 1000) {
        (void)snprintf(ret, FORMAT_SIZE, "%" PRIu64 " B", bytes);
        return;
    }
    while (value >= 999.95 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1000;
        unit++;
    }
    (void)snprintf(ret, FORMAT_SIZE, "%.1f %s", value, units[unit]);
}

void format_age(int64_t real_ns, char ret[FORMAT_SIZE])
{
    int64_t seconds = (clock_real() - real_ns) / (int64_t)CLOCK_SECOND;

    if (seconds < 0)
        seconds = 0;
    if (seconds < 120)
        (void)snprintf(ret, FORMAT_SIZE, "%" PRId64 " s", seconds);
    else if (seconds < INT64_C(120) * 60)
        (void)snprintf(ret, FORMAT_SIZE, "%" PRId64 " min", seconds / 60);
    else if (seconds < INT64_C(48) * 60 * 60)
        (void)snprintf(ret, FORMAT_SIZE, "%" PRId64 " h", seconds / 3600);
    else
        (void)snprintf(ret, FORMAT_SIZE, "%" PRId64 " days", seconds / 86400);
}
