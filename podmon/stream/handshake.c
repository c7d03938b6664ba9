/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/stream/handshake.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "podmon/stream/base64.h"
#include "podmon/stream/sha1.h"

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455, 1.3 */
#define SPDY_WORDS "X-Stream-Protocol-Version"
#define WEBSOCKET_WORDS "Sec-WebSocket-Protocol"

enum {
    KEY_LENGTH = 24, /* of 16 bytes in base64 */
    KEY_SIZE = 16,
};

static const StreamProtocol COMMAND_SPDY[] = {
    {"v4.channel.k8s.io", 4, false, false, false},
    {"v3.channel.k8s.io", 3, false, false, false},
    {"v2.channel.k8s.io", 2, false, false, false},
    {"channel.k8s.io", 1, false, false, false},
    {0},
};

static const StreamProtocol PORTS_SPDY[] = {
    {"portforward.k8s.io", 1, false, false, false},
    {0},
};

static const StreamProtocol COMMAND_WEBSOCKET[] = {
    {"v5.channel.k8s.io", 5, true, false, false},
    {"v4.channel.k8s.io", 4, true, false, false},
    {"v4.base64.channel.k8s.io", 4, true, true, false},
    {"channel.k8s.io", 1, true, false, false},
    {"base64.channel.k8s.io", 1, true, true, false},
    {"", 1, true, false, false},
    {0},
};

static const StreamProtocol PORTS_WEBSOCKET[] = {
    {"SPDY/3.1+portforward.k8s.io", 1, true, false, true},
    {"v4.channel.k8s.io", 4, true, false, false},
    {"v4.base64.channel.k8s.io", 4, true, true, false},
    {"", 4, true, false, false},
    {0},
};

static void add(Handshake *handshake, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add(Handshake *handshake, const char *format, ...)
{
    size_t room = sizeof(handshake->answer) - handshake->size;
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(handshake->answer + handshake->size, room, format, arguments);
    va_end(arguments);
    /* Everything that is written here is ours and short. */
    if (length > 0 && (size_t)length < room)
        handshake->size += (size_t)length;
}

/* `header`: a whole line, or "". */
static void refuse(Handshake *handshake, const char *status, const char *header, const char *body)
{
    add(handshake,
        "HTTP/1.1 %s\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "%sContent-Length: %zu\r\n\r\n%s",
        status, header, strlen(body), body);
}

/* The first of the client's that is ours: the order is his. */
static const StreamProtocol *choose(const HttpHead *head, const char *name,
                                    const StreamProtocol *ours, bool *ret_any)
{
    size_t position = 0;
    HttpWord word;

    *ret_any = false;
    while (http_head_next_word(head, name, &position, &word)) {
        *ret_any = true;
        for (const StreamProtocol *protocol = ours; protocol->name; protocol++)
            if (strlen(protocol->name) == word.length &&
                strncmp(protocol->name, word.text, word.length) == 0)
                return protocol;
    }
    return NULL;
}

static void answer_spdy(const HttpHead *head, const StreamProtocol *ours, Handshake *ret)
{
    bool any;
    const StreamProtocol *protocol = choose(head, SPDY_WORDS, ours, &any);

    if (!any) {
        refuse(ret, "400 Bad Request", "", "the header " SPDY_WORDS " names no protocol\n");
        return;
    }
    if (!protocol) {
        char list[256] = "";
        size_t length = 0;

        for (; ours->name; ours++)
            length += (size_t)snprintf(list + length, sizeof(list) - length,
                                       "X-Accepted-Stream-Protocol-Versions: %s\r\n", ours->name);
        refuse(ret, "403 Forbidden", list,
               "none of the protocols in the header " SPDY_WORDS " is served\n");
        return;
    }
    if (!http_head_contains(head, "Connection", "upgrade") ||
        !http_head_contains(head, "Upgrade", "spdy/3.1")) {
        refuse(ret, "400 Bad Request", "",
               "missing upgrade headers: Connection: Upgrade, Upgrade: SPDY/3.1\n");
        return;
    }
    add(ret,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "
        "SPDY/3.1\r\n" SPDY_WORDS ": %s\r\n\r\n",
        protocol->name);
    ret->protocol = protocol;
}

static bool key_is_valid(const char *key)
{
    uint8_t bytes[KEY_LENGTH];

    return key && strlen(key) == KEY_LENGTH && base64_decode(key, KEY_LENGTH, bytes) == KEY_SIZE;
}

static void accept_websocket(const char *key, const StreamProtocol *protocol, Handshake *ret)
{
    char text[KEY_LENGTH + sizeof(GUID)];
    char accept[BASE64_SIZE(SHA1_SIZE) + 1] = "";
    uint8_t digest[SHA1_SIZE];

    (void)snprintf(text, sizeof(text), "%s" GUID, key);
    sha1(text, strlen(text), digest);
    (void)base64_encode(digest, sizeof(digest), accept);
    add(ret,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: %s\r\n",
        accept);
    if (*protocol->name)
        add(ret, WEBSOCKET_WORDS ": %s\r\n", protocol->name);
    add(ret, "\r\n");
    ret->protocol = protocol;
}

static void answer_websocket(const HttpHead *head, const StreamProtocol *ours, Handshake *ret)
{
    const char *key = http_head_get(head, "Sec-WebSocket-Key");
    const char *version = http_head_get(head, "Sec-WebSocket-Version");
    bool any;
    const StreamProtocol *protocol = choose(head, WEBSOCKET_WORDS, ours, &any);

    if (strcmp(head->method, "GET") != 0) {
        refuse(ret, "405 Method Not Allowed", "Allow: GET\r\n",
               "a WebSocket begins with the method GET\n");
        return;
    }
    if (!key_is_valid(key)) {
        refuse(ret, "400 Bad Request", "", "Sec-WebSocket-Key is not 16 bytes in base64\n");
        return;
    }
    if (!version || strcmp(version, "13") != 0) {
        refuse(ret, "400 Bad Request", "Sec-WebSocket-Version: 13\r\n",
               "Sec-WebSocket-Version is not 13\n");
        return;
    }
    for (; !any && !protocol; ours++)
        if (!*ours->name)
            protocol = ours;
    if (protocol)
        accept_websocket(key, protocol, ret);
    else
        refuse(ret, "403 Forbidden", "", "");
}

void handshake_answer(const HttpHead *head, StreamUse use, Handshake *ret)
{
    const char *upgrade = http_head_get(head, "Upgrade");

    ret->protocol = NULL;
    ret->size = 0;
    if (upgrade && strcasecmp(upgrade, "websocket") == 0 &&
        http_head_contains(head, "Connection", "upgrade"))
        answer_websocket(head, use == STREAM_USE_PORTS ? PORTS_WEBSOCKET : COMMAND_WEBSOCKET, ret);
    else
        answer_spdy(head, use == STREAM_USE_PORTS ? PORTS_SPDY : COMMAND_SPDY, ret);
}
