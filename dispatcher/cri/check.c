/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cri/check.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "shared/path.h"
#include "shared/text.h"

enum {
    METADATA_MAX = 253,
    HOSTNAME_MAX = 64,
    WORD_MAX = 255,
    KERNEL_VALUE_MAX = 4096,
};

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

int check_refuse(Failure *why, const char *value, const char *problem, const char *field, ...)
{
    char place[256];
    va_list arguments;

    va_start(arguments, field);
    (void)vsnprintf(place, sizeof(place), field, arguments); /* Cut is good enough for a name. */
    va_end(arguments);
    if (!*value)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "%s: %s", place, problem);
    return failure_say(why, FAILURE_INVALID_ARGUMENT, "%s: \"%.200s\" %s", place, value, problem);
}

const char *check_metadata_name(const char *text)
{
    if (!*text)
        return "must not be empty";
    if (strlen(text) > METADATA_MAX)
        return "is longer than 253 bytes";
    if (!text_is_printable(text))
        return "has a control byte or is not UTF-8";
    if (strchr(text, ';'))
        return "has a ';'";
    return NULL;
}

const char *check_hostname(const char *text)
{
    const char *rest = text;

    if (!*text)
        return "must not be empty";
    if (strlen(text) > HOSTNAME_MAX)
        return "is longer than 64 bytes";
    for (;;) {
        size_t length = strspn(rest, LETTERS DIGITS "-");

        if (length == 0 || rest[0] == '-' || rest[length - 1] == '-')
            return "is not a hostname (letters, digits and '-', joined by dots)";
        rest += length;
        if (!*rest)
            return NULL;
        if (*rest != '.')
            return "is not a hostname (letters, digits and '-', joined by dots)";
        rest++;
    }
}

const char *check_word(const char *text)
{
    if (!*text)
        return "must not be empty";
    if (strlen(text) > WORD_MAX)
        return "is longer than 255 bytes";
    if (!text_is_printable(text) || strchr(text, ' '))
        return "has a space or a control byte";
    return NULL;
}

const char *check_absolute_path(const char *text)
{
    if (!*text)
        return "must not be empty";
    if (*text != '/')
        return "is not absolute";
    if (strlen(text) >= PATH_MAX)
        return "is longer than a path can be";
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return "has a control byte";
    return NULL;
}

const char *check_relative_path(const char *text)
{
    char name[NAME_MAX + 1];
    const char *rest = text;

    if (strlen(text) >= PATH_MAX)
        return "is longer than a path can be";
    if (*text == '/')
        return "is not relative";
    for (;;) {
        size_t length = strcspn(rest, "/");

        if (length > NAME_MAX)
            return "has a component longer than a file name can be";
        memcpy(name, rest, length);
        name[length] = '\0';
        if (!path_is_name(name))
            return "has a component that is no file name";
        if (!rest[length])
            return NULL;
        rest += length + 1;
    }
}

const char *check_address(const char *text)
{
    struct in6_addr address;

    if (inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1)
        return NULL;
    return "is not an IP address";
}

const char *check_cpu_list(const char *text)
{
    const char *rest = text;

    for (;;) {
        size_t length = strspn(rest, DIGITS);

        if (length == 0 || length > 5)
            return "is not a list like \"0-3,8\"";
        rest += length;
        if (*rest == '-') {
            length = strspn(++rest, DIGITS);
            if (length == 0 || length > 5)
                return "is not a list like \"0-3,8\"";
            rest += length;
        }
        if (!*rest)
            return NULL;
        if (*rest++ != ',')
            return "is not a list like \"0-3,8\"";
    }
}

const char *check_page_size(const char *text)
{
    size_t length = strspn(text, DIGITS);

    if (length > 0 && length < 10 && strchr("KMG", text[length]) && text[length] &&
        strcmp(text + length + 1, "B") == 0)
        return NULL;
    return "is not a page size like \"2MB\"";
}

const char *check_cgroup_file(const char *text)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz" DIGITS "_");

    if (length > 0 && text[length] == '.' && text[length + 1] && strlen(text) <= NAME_MAX &&
        !text[strspn(text, LETTERS DIGITS "_.")] && !strstr(text, ".."))
        return NULL;
    return "is not a file of cgroup v2 like \"memory.high\"";
}

const char *check_kernel_value(const char *text)
{
    if (strlen(text) > KERNEL_VALUE_MAX)
        return "is longer than 4096 bytes";
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return "has a control byte";
    return NULL;
}

const char *check_slice(const char *text)
{
    static const char suffix[] = ".slice";
    size_t length = strlen(text);
    size_t stem = length - (sizeof(suffix) - 1);

    if (length < sizeof(suffix) || strcmp(text + stem, suffix) != 0)
        return "is not the name of a slice";
    if (length > NAME_MAX || strspn(text, LETTERS DIGITS ":_.\\-") != length)
        return "is not the name of a slice (letters, digits and \":_.\\-\")";
    if (stem == 1 && *text == '-')
        return NULL;
    if (*text == '-' || text[stem - 1] == '-' || strstr(text, "--"))
        return "is not the name of a slice: a part between its dashes is empty";
    return NULL;
}
