/* SPDX-License-Identifier: Apache-2.0 */
/* A WebSocket's server side, by libwslay: bytes in, messages out, and back. No input or output of
 * its own. Pings are answered here, fragments put together. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum {
    WEBSOCKET_IN_MAX = 1024 * 1024, /* a longer message ends the connection: 1009 */
    WEBSOCKET_OUT_MAX = 48 * 1024,  /* payload of a message of ours */
};

typedef struct WebSocketEvents {
    void (*message)(void *data, bool is_text, const uint8_t *bytes, size_t size);
    /* Has to take all of it. */
    void (*write)(void *data, const struct iovec *parts, int count);
} WebSocketEvents;

typedef struct WebSocket WebSocket;

int websocket_new(const WebSocketEvents *events, void *data, WebSocket **ret); /* −ENOMEM */
WebSocket *websocket_free(WebSocket *socket);                                  /* accepts NULL */

/* 0; −EBADMSG: the client breaks the protocol, and has been told so by a close frame; −ECONNRESET:
 * it has closed, and its frame is answered. After either, nothing more is taken in. */
int websocket_feed(WebSocket *socket, const uint8_t *bytes, size_t size);

/* The head of a binary message, its first byte, which is `channel`, included; another `size` bytes
 * are sent by who asks. WEBSOCKET_HEADER_MAX; returns how long it is. */
enum { WEBSOCKET_HEADER_MAX = 11 };
size_t websocket_header(uint8_t channel, size_t size, uint8_t *ret);

/* One message out of these parts, of which there are at most four. After websocket_close nothing
 * is sent any more. */
void websocket_send(WebSocket *socket, bool is_text, const struct iovec *parts, int count);

/* The normal end, code 1000. */
void websocket_close(WebSocket *socket);
