/* SPDX-License-Identifier: Apache-2.0 */
/* Tar archives made byte by byte, so that tests can say what no honest program would write. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/text.h"

typedef struct TarEntry {
    const char *name;
    char type; /* '0' file, '1' hard link, '2' link, '3' '4' devices, '5' directory, '6' FIFO */
    const char *link;
    unsigned int mode, uid, gid;
    const char *data;
    unsigned int major, minor;
    const char *pax;  /* records as "key=value" lines, put in front as a PAX header */
    size_t name_size; /* 0: up to its NUL; else so many bytes, NULs too */
} TarEntry;

static void tar_number(char *field, size_t size, unsigned long value)
{
    field[size - 1] = 0;
    for (size_t i = size - 1; i-- > 0; value >>= 3)
        field[i] = (char)('0' + (value & 7));
}

static void tar_block(Text *tar, const TarEntry *entry, size_t size)
{
    char block[512] = {0};
    unsigned int sum = 0;
    size_t length = entry->name_size ? entry->name_size : strlen(entry->name);

    memcpy(block, entry->name, length < 100 ? length : 100);
    tar_number(block + 100, 8, entry->mode);
    tar_number(block + 108, 8, entry->uid);
    tar_number(block + 116, 8, entry->gid);
    tar_number(block + 124, 12, size);
    tar_number(block + 136, 12, 1700000000);
    memset(block + 148, ' ', 8);
    block[156] = entry->type;
    if (entry->link)
        memcpy(block + 157, entry->link, strlen(entry->link) < 100 ? strlen(entry->link) : 100);
    memcpy(block + 257, "ustar\00000", 8);
    tar_number(block + 329, 8, entry->major);
    tar_number(block + 337, 8, entry->minor);
    for (size_t i = 0; i < sizeof(block); i++)
        sum += (unsigned char)block[i];
    tar_number(block + 148, 7, sum);
    (void)text_append(tar, block, sizeof(block));
}

static void tar_data(Text *tar, const char *data, size_t size)
{
    static const char zeros[512];

    (void)text_append(tar, data, size);
    (void)text_append(tar, zeros, (512 - size % 512) % 512);
}

/* "12 key=value\n", the number counting itself. */
static void tar_pax_record(Text *records, const char *line, size_t length)
{
    size_t total = length + 3;
    char digits[24];

    while (total != length + 2 + (size_t)snprintf(digits, sizeof(digits), "%zu", total))
        total = length + 2 + strlen(digits);
    (void)text_print(records, "%zu %.*s\n", total, (int)length, line);
}

static void tar_add(Text *tar, TarEntry entry)
{
    size_t size = entry.data ? strlen(entry.data) : 0;

    if (entry.pax) {
        Text records = {0};
        TarEntry header = {.name = "pax", .type = 'x'};

        for (const char *line = entry.pax; *line;) {
            size_t length = strcspn(line, "\n");

            tar_pax_record(&records, line, length);
            line += length;
            line += *line == '\n';
        }
        tar_block(tar, &header, records.size);
        tar_data(tar, records.data, records.size);
        text_done(&records);
    }
    tar_block(tar, &entry, size);
    if (size)
        tar_data(tar, entry.data, size);
}

static void tar_end(Text *tar)
{
    static const char zeros[1024];

    (void)text_append(tar, zeros, sizeof(zeros));
}
