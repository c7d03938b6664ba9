/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/stream/spdy_headers.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* What the draft puts into the dictionary with a length before each, separated here by '|'. */
static const char WORDS[] =
    "options|head|post|put|delete|trace|accept|accept-charset|accept-encoding|accept-language|"
    "accept-ranges|age|allow|authorization|cache-control|connection|content-base|content-encoding|"
    "content-language|content-length|content-location|content-md5|content-range|content-type|date|"
    "etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range|"
    "if-unmodified-since|last-modified|location|max-forwards|pragma|proxy-authenticate|"
    "proxy-authorization|range|referer|retry-after|server|te|trailer|transfer-encoding|upgrade|"
    "user-agent|vary|via|warning|www-authenticate|method|get|status|200 OK|version|HTTP/1.1|url|"
    "public|set-cookie|keep-alive|origin";

/* And what follows without. */
static const char TAIL[] =
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request"
    "401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented"
    "503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, "
    "Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,"
    "application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,"
    "sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

static uint32_t read_32(const uint8_t *data)
{
    return (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
}

void spdy_dictionary(uint8_t ret[SPDY_DICTIONARY_SIZE])
{
    uint8_t *end = ret;

    for (const char *word = WORDS; *word; word += *word == '|') {
        size_t length = strcspn(word, "|");

        memset(end, 0, 3); /* No word is as long as 256. */
        end[3] = (uint8_t)length;
        memcpy(end + 4, word, length);
        end += 4 + length;
        word += length;
    }
    memcpy(end, TAIL, sizeof(TAIL) - 1);
}

int spdy_inflater_init(SpdyInflater *inflater)
{
    memset(inflater, 0, sizeof(*inflater));
    return inflateInit2(&inflater->zlib, MAX_WBITS) == Z_OK ? 0 : -ENOMEM;
}

void spdy_inflater_done(SpdyInflater *inflater)
{
    (void)inflateEnd(&inflater->zlib);
}

static int give_dictionary(z_stream *zlib)
{
    uint8_t dictionary[SPDY_DICTIONARY_SIZE];

    spdy_dictionary(dictionary);
    return inflateSetDictionary(zlib, dictionary, sizeof(dictionary));
}

/* The size of the inflated block, or −EBADMSG. */
static int inflate_block(z_stream *zlib, const uint8_t *data, size_t size, uint8_t *ret)
{
    int r;

    zlib->next_in = (z_const Bytef *)(uintptr_t)data; /* zlib only reads it. */
    zlib->avail_in = (uInt)size;
    zlib->next_out = ret;
    zlib->avail_out = SPDY_BLOCK_MAX + 1;
    do {
        r = inflate(zlib, Z_SYNC_FLUSH);
        if (r == Z_NEED_DICT)
            r = give_dictionary(zlib);
    } while (r == Z_OK && zlib->avail_in > 0 && zlib->avail_out > 0);
    if ((r != Z_OK && r != Z_BUF_ERROR) || zlib->avail_in > 0 || zlib->avail_out == 0)
        return -EBADMSG;
    return (int)(SPDY_BLOCK_MAX + 1 - zlib->avail_out);
}

typedef struct Reader {
    const uint8_t *data;
    size_t left;
    char *text; /* where the next string goes */
} Reader;

/* Copies a string with its length before it; a NUL in it, which separates several values, ends what
 * is looked at. */
static const char *take_string(Reader *reader, size_t most)
{
    char *text = reader->text;
    size_t size;

    if (reader->left < 4)
        return NULL;
    size = read_32(reader->data);
    if (size > most || size > reader->left - 4)
        return NULL;
    memcpy(text, reader->data + 4, size);
    text[size] = '\0';
    reader->text += size + 1;
    reader->data += 4 + size;
    reader->left -= 4 + size;
    return text;
}

int spdy_inflate(SpdyInflater *inflater, const uint8_t *data, size_t size, SpdyHeaders *ret)
{
    uint8_t block[SPDY_BLOCK_MAX + 1];
    int length = inflate_block(&inflater->zlib, data, size, block);
    Reader reader;
    size_t count;

    if (length < 4)
        return -EBADMSG;
    count = read_32(block);
    if (count > SPDY_HEADERS_MAX)
        return -EBADMSG;
    reader = (Reader){block + 4, (size_t)length - 4, ret->text};
    for (size_t i = 0; i < count; i++) {
        const char *name = take_string(&reader, SPDY_NAME_MAX);
        const char *value = name && *name ? take_string(&reader, SPDY_VALUE_MAX) : NULL;

        if (!value)
            return -EBADMSG;
        ret->headers[i] = (SpdyHeader){name, value};
    }
    ret->count = count;
    return reader.left == 0 ? 0 : -EBADMSG;
}

const char *spdy_headers_get(const SpdyHeaders *headers, const char *name)
{
    for (size_t i = 0; i < headers->count; i++)
        if (strcasecmp(headers->headers[i].name, name) == 0)
            return headers->headers[i].value;
    return NULL;
}
