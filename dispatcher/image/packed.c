/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/packed.h"

#include <archive.h>
#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    INPUT_SIZE = 256 * 1024,
    OUTPUT_SIZE = 256 * 1024,
};

struct Packed {
    int fd;
    uint64_t bytes, bytes_max;
    DigestStream *digest;
    Failure *why;
    int error;
    ssize_t (*next)(Packed *packed, const void **ret); /* by the kind of archive */
    struct archive *zstd;
    struct inflate_state gzip;
    bool input_ended;
    size_t begun; /* bytes of `input` read to find out the compression */
    uint8_t input[INPUT_SIZE], output[OUTPUT_SIZE];
};

static ssize_t damaged(Packed *packed, const char *text)
{
    return failure_say(packed->why, FAILURE_INVALID_ARGUMENT, "the archive is damaged: %s",
                       text ? text : "no reason given");
}

static ssize_t read_input(Packed *packed, size_t from)
{
    ssize_t count =
        TEMP_FAILURE_RETRY(read(packed->fd, packed->input + from, sizeof(packed->input) - from));

    return count < 0 ? failure_set(packed->why, FAILURE_INTERNAL, errno, "cannot read the archive")
                     : count;
}

/* The next bytes of `input`, those first that were read to find out what they are. */
static ssize_t fill_input(Packed *packed)
{
    ssize_t count = (ssize_t)packed->begun;

    packed->begun = 0;
    return count > 0 ? count : read_input(packed, 0);
}

/* ---- plain */

static ssize_t next_plain(Packed *packed, const void **ret)
{
    *ret = packed->input;
    return fill_input(packed);
}

/* ---- gzip, by ISA-L: a third of zlib's time */

static const char *gzip_error(int status)
{
    switch (status) {
    case ISAL_INVALID_BLOCK:
        return "invalid block in gzip input";
    case ISAL_INVALID_SYMBOL:
        return "invalid symbol in gzip input";
    case ISAL_INVALID_LOOKBACK:
        return "invalid distance in gzip input";
    case ISAL_INVALID_WRAPPER:
        return "invalid gzip header";
    case ISAL_UNSUPPORTED_METHOD:
        return "unknown method in gzip header";
    case ISAL_INCORRECT_CHECKSUM:
        return "wrong checksum of gzip input";
    default:
        return "invalid gzip input";
    }
}

static void begin_member(Packed *packed)
{
    isal_inflate_reset(&packed->gzip);
    packed->gzip.crc_flag = ISAL_GZIP;
}

/* Members may follow each other; what follows and is none is passed over, as gzip(1) does. */
static bool another_member_follows(const struct inflate_state *gzip)
{
    return gzip->avail_in > 0 && gzip->next_in[0] == 0x1f &&
           (gzip->avail_in == 1 || gzip->next_in[1] == 0x8b);
}

/* > 0: there is input; 0: there is no more. */
static int want_input(Packed *packed)
{
    ssize_t count;

    if (packed->gzip.avail_in > 0)
        return 1;
    count = packed->input_ended ? 0 : fill_input(packed);
    if (count < 0)
        return (int)count;
    packed->input_ended = count == 0;
    packed->gzip.next_in = packed->input;
    packed->gzip.avail_in = (uint32_t)count;
    return count > 0;
}

static ssize_t next_gzip(Packed *packed, const void **ret)
{
    struct inflate_state *gzip = &packed->gzip;

    *ret = packed->output;
    for (;;) {
        int r = want_input(packed);

        if (r < 0)
            return r;
        if (gzip->block_state == ISAL_BLOCK_FINISH) {
            if (r == 0 || !another_member_follows(gzip))
                return 0;
            begin_member(packed);
        }
        gzip->next_out = packed->output;
        gzip->avail_out = sizeof(packed->output);
        r = isal_inflate(gzip);
        if (r != ISAL_DECOMP_OK)
            return damaged(packed, gzip_error(r));
        if (gzip->next_out > packed->output)
            return gzip->next_out - packed->output;
        if (packed->input_ended && gzip->block_state != ISAL_BLOCK_FINISH)
            return damaged(packed, "truncated gzip input");
    }
}

/* ---- zstd, by libarchive, which bounds its window (128 MiB) */

static la_ssize_t feed_zstd(struct archive *archive, void *context, const void **ret)
{
    Packed *packed = context;
    ssize_t count = fill_input(packed);

    *ret = packed->input;
    if (count < 0) {
        packed->error = (int)count;
        archive_set_error(archive, EIO, "cannot read");
    }
    return count;
}

static ssize_t zstd_failed(Packed *packed)
{
    return packed->error < 0 ? packed->error : damaged(packed, archive_error_string(packed->zstd));
}

static ssize_t next_zstd(Packed *packed, const void **ret)
{
    int64_t offset;
    size_t size;
    int status;

    /* An empty piece is not the end. */
    do {
        size = 0;
        status = archive_read_data_block(packed->zstd, ret, &size, &offset);
    } while (status == ARCHIVE_OK && size == 0);
    if (status == ARCHIVE_EOF)
        return 0;
    return status == ARCHIVE_OK ? (ssize_t)size : zstd_failed(packed);
}

static int open_zstd(Packed *packed)
{
    struct archive_entry *entry;

    packed->zstd = archive_read_new();
    if (!packed->zstd)
        return failure_set(packed->why, FAILURE_INTERNAL, ENOMEM, "cannot read the archive");
    if (archive_read_append_filter(packed->zstd, ARCHIVE_FILTER_ZSTD) != ARCHIVE_OK ||
        archive_read_support_format_raw(packed->zstd) != ARCHIVE_OK ||
        archive_read_open(packed->zstd, packed, NULL, feed_zstd, NULL) != ARCHIVE_OK ||
        archive_read_next_header(packed->zstd, &entry) != ARCHIVE_OK)
        return (int)zstd_failed(packed);
    return 0;
}

/* ---- all of them */

static int find_kind(Packed *packed)
{
    static const uint8_t gzip[] = {0x1f, 0x8b}, zstd[] = {0x28, 0xb5, 0x2f, 0xfd};

    while (packed->begun < sizeof(zstd)) {
        ssize_t count = read_input(packed, packed->begun);

        if (count < 0)
            return (int)count;
        if (count == 0)
            break;
        packed->begun += (size_t)count;
    }
    if (packed->begun == 0)
        return failure_say(packed->why, FAILURE_INVALID_ARGUMENT, "the archive is empty");
    packed->next = next_plain;
    if (packed->begun >= sizeof(gzip) && memcmp(packed->input, gzip, sizeof(gzip)) == 0) {
        packed->next = next_gzip;
        isal_inflate_init(&packed->gzip);
        begin_member(packed);
    } else if (packed->begun >= sizeof(zstd) && memcmp(packed->input, zstd, sizeof(zstd)) == 0) {
        packed->next = next_zstd;
        return open_zstd(packed);
    }
    return 0;
}

int packed_new(int fd, uint64_t bytes_max, Packed **ret, Failure *why)
{
    Packed *packed = calloc(1, sizeof(*packed));
    int r;

    if (!packed)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot read the archive");
    packed->fd = fd;
    packed->bytes_max = bytes_max;
    packed->why = why;
    r = digest_stream_new(DIGEST_SHA256, &packed->digest);
    r = r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot hash the archive")
              : find_kind(packed);
    if (r < 0) {
        packed_free(packed);
        return r;
    }
    *ret = packed;
    return 0;
}

Packed *packed_free(Packed *packed)
{
    if (packed) {
        archive_read_free(packed->zstd);
        digest_stream_free(packed->digest);
        free(packed);
    }
    return NULL;
}

ssize_t packed_read(Packed *packed, const void **ret)
{
    ssize_t size = packed->error < 0 ? packed->error : packed->next(packed, ret);

    if (size > 0) {
        packed->bytes += (uint64_t)size;
        if (packed->bytes > packed->bytes_max)
            size = failure_set(packed->why, FAILURE_RESOURCE_EXHAUSTED, EFBIG,
                               "the archive has more than %llu bytes",
                               (unsigned long long)packed->bytes_max);
        else if (digest_stream_add(packed->digest, *ret, (size_t)size) < 0)
            size = failure_set(packed->why, FAILURE_INTERNAL, EIO, "cannot hash the archive");
    }
    if (size < 0)
        packed->error = (int)size;
    return size;
}

int packed_error(const Packed *packed)
{
    return packed->error;
}

int packed_finish(Packed *packed, Digest *ret_diff_id)
{
    return digest_stream_finish(packed->digest, ret_diff_id);
}
