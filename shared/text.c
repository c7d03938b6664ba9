/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "shared/cleanup.h"

enum {
    TEXT_MAX = 64 * 1024 * 1024,
    TEXT_START = 64,
};

void text_done(Text *text)
{
    free(text->data);
    *text = (Text){0};
}

/* Room for `size` more bytes and the NUL behind them. */
static int text_reserve(Text *text, size_t size)
{
    size_t needed, capacity = text->capacity ? text->capacity : TEXT_START;
    char *data;

    if (size > TEXT_MAX || text->size + size > TEXT_MAX)
        return -EFBIG;
    needed = text->size + size + 1;
    if (needed <= text->capacity)
        return 0;
    while (capacity < needed)
        capacity *= 2;
    data = realloc(text->data, capacity);
    if (!data)
        return -ENOMEM;
    text->data = data;
    text->capacity = capacity;
    return 0;
}

int text_append(Text *text, const void *data, size_t size)
{
    int r = text_reserve(text, size);

    if (r < 0)
        return r;
    if (size > 0)
        memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size] = '\0';
    return 0;
}

int text_add(Text *text, const char *string)
{
    return text_append(text, string, strlen(string));
}

int text_print(Text *text, const char *format, ...)
{
    va_list arguments, again;
    int length, r;

    va_start(arguments, format);
    va_copy(again, arguments);
    length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    r = length < 0 ? -EINVAL : text_reserve(text, (size_t)length);
    if (r == 0) {
        (void)vsnprintf(text->data + text->size, (size_t)length + 1, format, again);
        text->size += (size_t)length;
    }
    va_end(again);
    return r;
}

/* Length of the UTF-8 sequence at `bytes`, which end in a NUL; 0 for what is none: overlong forms,
 * surrogates and code points above U+10FFFF among it. */
static size_t utf8_length(const unsigned char *bytes)
{
    unsigned char first = bytes[0], low = 0x80, high = 0xbf;
    size_t length;

    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (first == 0xe0)
        low = 0xa0;
    else if (first == 0xed)
        high = 0x9f;
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xf4)
        high = 0x8f;
    if (bytes[1] < low || bytes[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

bool text_is_printable(const char *string)
{
    const unsigned char *next = (const unsigned char *)string;

    while (*next) {
        size_t length = utf8_length(next);
        if (length == 0 || *next < 0x20 || *next == 0x7f)
            return false;
        next += length;
    }
    return true;
}

void text_make_safe(const char *source, char *ret, size_t size)
{
    size_t i = 0;

    if (size == 0)
        return;
    for (; source[i] && i + 1 < size; i++)
        ret[i] = source[i] >= 0x20 && source[i] <= 0x7e ? source[i] : '?';
    ret[i] = '\0';
}

bool text_starts_with(const char *string, const char *prefix)
{
    return strncmp(string, prefix, strlen(prefix)) == 0;
}

void text_list_free(char **list)
{
    if (!list)
        return;
    for (char **item = list; *item; item++)
        free(*item);
    free(list);
}

size_t text_list_count(char *const *list)
{
    size_t count = 0;

    while (list && list[count])
        count++;
    return count;
}

int text_list_add(char ***list, const char *string)
{
    AUTO_FREE char *copy = strdup(string);
    size_t count = text_list_count(*list);
    char **longer;

    if (!copy)
        return -ENOMEM;
    longer = reallocarray(*list, count + 2, sizeof(*longer));
    if (!longer)
        return -ENOMEM;
    longer[count] = TAKE(copy);
    longer[count + 1] = NULL;
    *list = longer;
    return 0;
}
