/* SPDX-License-Identifier: Apache-2.0 */
/* Input: the size of the portions (one byte), then what a client sends in them. */
#include <stdlib.h>

#include "podmon/stream/remotecommand.h"
#include "podmon/stream/spdy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Client {
    Spdy *spdy;
    ResizeReader resizes;
    uint32_t last;
} Client;

static void on_open(void *data, uint32_t id, const SpdyHeaders *headers)
{
    Client *client = data;

    if (id <= client->last || id % 2 == 0)
        abort();
    client->last = id;
    if (spdy_headers_get(headers, "streamtype"))
        spdy_reply(client->spdy, id);
    else
        spdy_reset(client->spdy, id, SPDY_REFUSED_STREAM);
}

static void on_bytes(void *data, uint32_t id, const uint8_t *bytes, size_t size)
{
    Client *client = data;
    TerminalSize terminal;

    (void)id;
    if (resize_read(&client->resizes, bytes, size, &terminal) &&
        (terminal.width == 0 || terminal.height == 0))
        abort();
}

static void on_id(void *data, uint32_t id)
{
    (void)data;
    (void)id;
}

static void on_write(void *data, const struct iovec *parts, int count)
{
    (void)data;
    (void)parts;
    (void)count;
}

/* Data of streams whose numbers say so are taken past the parser. */
static int give(Spdy *spdy, const uint8_t *bytes, size_t size)
{
    uint32_t id;
    size_t left = spdy_expects(spdy, &id);
    size_t taken = left < size ? left : size;
    int r;

    if (id % 4 != 3)
        return spdy_feed(spdy, bytes, size);
    r = spdy_skip(spdy, taken);
    return r < 0 ? r : spdy_feed(spdy, bytes + taken, size - taken);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const SpdyEvents events = {on_open, on_bytes, on_id, on_id, on_write};
    Client client = {0};
    size_t portion = size > 0 ? data[0] + 1U : 1;

    if (spdy_new(&events, &client, &client.spdy) < 0)
        return 0;
    for (size_t i = 1; i < size; i += portion) {
        portion = size - i < portion ? size - i : portion;
        if (give(client.spdy, data + i, portion) < 0)
            break;
    }
    spdy_free(client.spdy);
    return 0;
}
