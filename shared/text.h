/* SPDX-License-Identifier: Apache-2.0 */
/* Text that grows, and checks of text that came from outside. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Plain growable buffer; all zero is empty and valid. `data` is terminated once anything was
 * appended. On failure (−ENOMEM, −EFBIG above 64 MiB) it is as before the call. */
typedef struct Text {
    char *data;
    size_t size;
    size_t capacity;
} Text;

void text_done(Text *text);
int text_append(Text *text, const void *data, size_t size);
int text_add(Text *text, const char *string);
int text_print(Text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* No byte below 0x20, no 0x7f, valid UTF-8. */
bool text_is_printable(const char *string);

/* Writes `source` to `ret` with every byte outside 0x20..0x7e shown as '?'; terminated. */
void text_make_safe(const char *source, char *ret, size_t size);

bool text_starts_with(const char *string, const char *prefix);

/* NULL-terminated lists of strings, each and the list malloc'ed. free accepts NULL. */
void text_list_free(char **list);
size_t text_list_count(char *const *list);
/* Appends a copy; *list may be NULL. −ENOMEM leaves the list as it was. */
int text_list_add(char ***list, const char *string);

static inline void text_list_cleanup(char ***list)
{
    text_list_free(*list);
}
