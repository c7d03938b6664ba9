/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/stream/remotecommand.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "shared/cleanup.h"

enum { VERSION_JSON = 4 };

int channel_parse(const char *name)
{
    static const char *const names[CHANNELS] = {
        [CHANNEL_STDIN] = "stdin", [CHANNEL_STDOUT] = "stdout", [CHANNEL_STDERR] = "stderr",
        [CHANNEL_ERROR] = "error", [CHANNEL_RESIZE] = "resize",
    };

    for (int i = 0; i < CHANNELS; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -EINVAL;
}

/* ---- the status */

/* The length of the UTF-8 character at `text`, or 0 if there is none. */
static size_t character_length(const unsigned char *text)
{
    size_t length = text[0] < 0x80                       ? 1
                    : text[0] >= 0xc2 && text[0] <= 0xdf ? 2
                    : text[0] >= 0xe0 && text[0] <= 0xef ? 3
                    : text[0] >= 0xf0 && text[0] <= 0xf4 ? 4
                                                         : 0;

    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
        (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
        return 0;
    return length;
}

/* As the inside of a JSON string. */
static int add_escaped(Text *text, const char *string)
{
    int r = 0;

    while (r >= 0 && *string) {
        unsigned char byte = (unsigned char)*string;
        size_t length = character_length((const unsigned char *)string);

        if (byte == '"' || byte == '\\')
            r = text_print(text, "\\%c", byte);
        else if (byte < ' ' || byte == 0x7f)
            r = text_print(text, "\\u%04x", byte);
        else if (length == 0)
            r = text_add(text, "\\ufffd");
        else
            r = text_append(text, string, length);
        string += length > 0 ? length : 1;
    }
    return r;
}

/* −ENOMEM leaves the text unfinished: nobody sends it. */
static int add_all(Text *text, const char *const *parts)
{
    int r = 0;

    for (; r >= 0 && *parts; parts++)
        r = text_add(text, *parts);
    return r;
}

int status_success(int version, Text *ret)
{
    return version < VERSION_JSON ? 0 : text_add(ret, "{\"status\":\"Success\"}");
}

int status_exit(int version, char *const *argv, size_t argc, int code, Text *ret)
{
    CLEANUP(text_done) Text message = {0};
    char number[16];
    int r;

    if (code == 0)
        return status_success(version, ret);
    (void)snprintf(number, sizeof(number), "%d", code);
    r = text_add(&message, "command terminated with non-zero exit code: error executing command [");
    for (size_t i = 0; r >= 0 && i < argc; i++)
        r = add_all(&message, (const char *const[]){i > 0 ? " " : "", argv[i], NULL});
    if (r >= 0)
        r = add_all(&message, (const char *const[]){"], exit code ", number, NULL});
    if (r < 0)
        return r;
    if (version < VERSION_JSON)
        return text_add(ret, message.data);
    r = text_add(ret, "{\"status\":\"Failure\",\"message\":\"");
    if (r >= 0)
        r = add_escaped(ret, message.data);
    if (r >= 0)
        r = add_all(
            ret, (const char *const[]){"\",\"reason\":\"NonZeroExitCode\",\"details\":{\"causes\":"
                                       "[{\"reason\":\"ExitCode\",\"message\":\"",
                                       number, "\"}]}}", NULL});
    return r;
}

int status_failure(int version, const char *message, Text *ret)
{
    int r;

    if (version < VERSION_JSON)
        return add_all(ret, (const char *const[]){"Internal error occurred: ", message, NULL});
    r = text_add(ret, "{\"status\":\"Failure\",\"message\":\"Internal error occurred: ");
    if (r >= 0)
        r = add_escaped(ret, message);
    return r < 0 ? r : text_add(ret, "\",\"reason\":\"InternalError\",\"code\":500}");
}

/* ---- the size of a terminal */

static bool read_side(const cJSON *object, const char *name, uint16_t *ret)
{
    const cJSON *value = cJSON_GetObjectItem(object, name); /* in whatever case */

    if (!cJSON_IsNumber(value) || value->valuedouble < 1 || value->valuedouble > UINT16_MAX)
        return false;
    *ret = (uint16_t)value->valuedouble;
    return true;
}

bool resize_read(ResizeReader *reader, const uint8_t *bytes, size_t size, TerminalSize *ret)
{
    bool found = false;

    for (size_t i = 0; i < size && !reader->is_broken; i++) {
        TerminalSize terminal;
        cJSON *object;

        if (reader->size == 0 && (bytes[i] == '\n' || bytes[i] == ' '))
            continue;
        reader->text[reader->size++] = (char)bytes[i];
        reader->is_broken = reader->text[0] != '{' || reader->size == sizeof(reader->text);
        if (bytes[i] != '}' || reader->is_broken)
            continue;
        /* No member that we know holds an object: the first brace that closes is the last. */
        object = cJSON_ParseWithLength(reader->text, reader->size);
        reader->is_broken = !object;
        if (read_side(object, "Width", &terminal.width) &&
            read_side(object, "Height", &terminal.height)) {
            *ret = terminal;
            found = true;
        }
        cJSON_Delete(object);
        reader->size = 0;
    }
    return found;
}
