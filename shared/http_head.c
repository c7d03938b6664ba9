/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/http_head.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* RFC 9110, 5.6.2. */
static bool is_token(const char *text, size_t length)
{
    static const char characters[] =
        "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    return length > 0 && strspn(text, characters) >= length;
}

/* The size of the head with its empty line; 0: it is not there yet. A line may end in LF alone. */
static size_t find_end(const char *data, size_t size)
{
    size_t line = 0;

    for (size_t i = 0; i < size; i++) {
        if (data[i] != '\n')
            continue;
        if (i == line || (i == line + 1 && data[line] == '\r'))
            return i + 1;
        line = i + 1;
    }
    return 0;
}

/* Cuts the next line off; what is in it has been checked to be text. */
static char *next_line(char **rest)
{
    char *line = *rest, *end = strchr(line, '\n');

    *rest = end + 1;
    if (end > line && end[-1] == '\r')
        end--;
    *end = '\0';
    return line;
}

static bool is_text(const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)data[i];
        bool is_line_end = byte == '\n' || (byte == '\r' && i + 1 < size && data[i + 1] == '\n');

        if ((byte < ' ' && byte != '\t' && !is_line_end) || byte == 0x7f)
            return false;
    }
    return true;
}

static int parse_request_line(char *line, HttpHead *head)
{
    char *target = strchr(line, ' ');
    char *version = target ? strchr(target + 1, ' ') : NULL;

    if (!version || !is_token(line, (size_t)(target - line)) || version == target + 1 ||
        (strcmp(version + 1, "HTTP/1.1") != 0 && strcmp(version + 1, "HTTP/1.0") != 0))
        return -EBADMSG;
    *target = *version = '\0';
    head->method = line;
    head->target = target + 1;
    return 0;
}

static int parse_header(char *line, HttpHead *head)
{
    char *colon = strchr(line, ':'), *value, *end;

    if (!colon || !is_token(line, (size_t)(colon - line)))
        return -EBADMSG;
    if (head->headers_count == HTTP_HEADERS_MAX)
        return -E2BIG;
    *colon = '\0';
    value = colon + 1 + strspn(colon + 1, " \t");
    for (end = value + strlen(value); end > value && (end[-1] == ' ' || end[-1] == '\t'); end--)
        end[-1] = '\0';
    head->headers[head->headers_count++] = (HttpHeader){line, value};
    return 0;
}

int http_head_parse(char *data, size_t size, HttpHead *ret)
{
    HttpHead head = {.size = find_end(data, size < HTTP_HEAD_MAX ? size : HTTP_HEAD_MAX)};
    char *rest = data;
    int r;

    if (head.size == 0)
        return size >= HTTP_HEAD_MAX ? -E2BIG : 0;
    if (!is_text(data, head.size))
        return -EBADMSG;
    r = parse_request_line(next_line(&rest), &head);
    while (r >= 0) {
        char *line = next_line(&rest);

        if (!*line) {
            *ret = head;
            return 1;
        }
        r = parse_header(line, &head);
    }
    return r;
}

const char *http_head_get(const HttpHead *head, const char *name)
{
    for (size_t i = 0; i < head->headers_count; i++)
        if (strcasecmp(head->headers[i].name, name) == 0)
            return head->headers[i].value;
    return NULL;
}

bool http_head_contains(const HttpHead *head, const char *name, const char *part)
{
    for (size_t i = 0; i < head->headers_count; i++)
        if (strcasecmp(head->headers[i].name, name) == 0 &&
            strcasestr(head->headers[i].value, part))
            return true;
    return false;
}

/* A position counts the characters of all values of that name, each with one more for its end. */
bool http_head_next_word(const HttpHead *head, const char *name, size_t *position, HttpWord *ret)
{
    size_t passed = 0;

    for (size_t i = 0; i < head->headers_count; i++) {
        const char *value = head->headers[i].value;
        size_t length = strlen(value);

        if (strcasecmp(head->headers[i].name, name) != 0)
            continue;
        while (*position < passed + length) {
            const char *word = value + (*position - passed);
            size_t whole = strcspn(word, ",");
            size_t blank = strspn(word, " \t");
            size_t end = whole;

            *position += whole + 1;
            while (end > blank && (word[end - 1] == ' ' || word[end - 1] == '\t'))
                end--;
            if (end > blank) {
                *ret = (HttpWord){word + blank, end - blank};
                return true;
            }
        }
        passed += length + 1;
        if (*position < passed)
            *position = passed;
    }
    return false;
}
