/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/layer.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/cleanup.h"

enum {
    INPUT_SIZE = 256 * 1024,
    ATTRIBUTES_MAX = 256,
};

/* Two readers of libarchive, one feeding the other: `packed` takes off the compression, and what
 * comes out is hashed and counted on its way into `tar`. */
typedef struct Layer {
    int fd;
    struct archive *packed, *tar;
    DigestStream *digest;
    LayerLimits limits;
    uint64_t bytes, entries;
    Failure *why;
    int error;    /* −errno of the input side; libarchive would hide it */
    size_t begun; /* bytes of `input` read to find out the compression */
    unsigned char input[INPUT_SIZE];
} Layer;

static void layer_done(Layer *layer)
{
    archive_read_free(layer->tar);
    archive_read_free(layer->packed);
    digest_stream_free(layer->digest);
}

void layer_prepare(void)
{
    Digest ignored;

    /* PAX headers are UTF-8; in the "C" locale libarchive would refuse all but ASCII. */
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    /* libcrypto reads its configuration when it is first used. */
    (void)digest_of(DIGEST_SHA256, "", 0, &ignored);
}

static ssize_t read_input(Layer *layer, void *buffer, size_t size)
{
    ssize_t count;

    do
        count = read(layer->fd, buffer, size);
    while (count < 0 && errno == EINTR);
    if (count < 0)
        layer->error = failure_set(layer->why, FAILURE_INTERNAL, errno, "cannot read the archive");
    return count;
}

static la_ssize_t feed_packed(struct archive *archive, void *context, const void **ret)
{
    Layer *layer = context;
    ssize_t count;

    *ret = layer->input;
    if (layer->begun) {
        count = (ssize_t)layer->begun;
        layer->begun = 0;
        return count;
    }
    count = read_input(layer, layer->input, sizeof(layer->input));
    if (count < 0)
        archive_set_error(archive, EIO, "cannot read");
    return count;
}

static int layer_failed(Layer *layer, struct archive *archive)
{
    const char *text = archive_error_string(archive);

    if (layer->error < 0)
        return layer->error;
    return failure_say(layer->why, FAILURE_INVALID_ARGUMENT, "the archive is damaged: %s",
                       text ? text : "no reason given");
}

/* The next piece of the uncompressed archive: its size, 0 at the end, or −errno. */
static ssize_t layer_read(Layer *layer, const void **ret)
{
    size_t size = 0;
    int64_t offset;
    int status = archive_read_data_block(layer->packed, ret, &size, &offset);

    if (status == ARCHIVE_EOF)
        return 0;
    if (status != ARCHIVE_OK) {
        layer->error = layer_failed(layer, layer->packed);
        return layer->error;
    }
    layer->bytes += size;
    if (layer->bytes > layer->limits.bytes)
        layer->error = failure_set(layer->why, FAILURE_RESOURCE_EXHAUSTED, EFBIG,
                                   "the archive has more than %llu bytes",
                                   (unsigned long long)layer->limits.bytes);
    else if (digest_stream_add(layer->digest, *ret, size) < 0)
        layer->error = failure_set(layer->why, FAILURE_INTERNAL, EIO, "cannot hash the archive");
    return layer->error < 0 ? layer->error : (ssize_t)size;
}

static la_ssize_t feed_tar(struct archive *archive, void *context, const void **ret)
{
    Layer *layer = context;
    ssize_t size = 0;

    /* To libarchive an empty piece would be the end. */
    do {
        *ret = NULL;
        size = layer_read(layer, ret);
    } while (size == 0 && *ret);
    if (size < 0)
        archive_set_error(archive, EIO, "%s", "cannot read");
    return size < 0 ? -1 : size;
}

/* One compression at most, told by its magic number: libarchive left to itself would unwrap
 * archives in archives in archives. */
static int open_packed(Layer *layer)
{
    static const unsigned char gzip[] = {0x1f, 0x8b}, zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
    struct archive_entry *entry;
    int status = ARCHIVE_OK;

    while (layer->begun < sizeof(zstd)) {
        ssize_t count =
            read_input(layer, layer->input + layer->begun, sizeof(layer->input) - layer->begun);

        if (count < 0)
            return layer->error;
        if (count == 0)
            break;
        layer->begun += (size_t)count;
    }
    if (layer->begun == 0)
        return failure_say(layer->why, FAILURE_INVALID_ARGUMENT, "the archive is empty");

    layer->packed = archive_read_new();
    if (!layer->packed)
        return failure_set(layer->why, FAILURE_INTERNAL, ENOMEM, "cannot read the archive");
    if (memcmp(layer->input, gzip, sizeof(gzip)) == 0)
        status = archive_read_append_filter(layer->packed, ARCHIVE_FILTER_GZIP);
    else if (memcmp(layer->input, zstd, sizeof(zstd)) == 0)
        status = archive_read_append_filter(layer->packed, ARCHIVE_FILTER_ZSTD);
    if (status != ARCHIVE_OK || archive_read_support_format_raw(layer->packed) != ARCHIVE_OK ||
        archive_read_open(layer->packed, layer, NULL, feed_packed, NULL) != ARCHIVE_OK ||
        archive_read_next_header(layer->packed, &entry) != ARCHIVE_OK)
        return layer_failed(layer, layer->packed);
    return 0;
}

static int open_tar(Layer *layer)
{
    layer->tar = archive_read_new();
    if (!layer->tar)
        return failure_set(layer->why, FAILURE_INTERNAL, ENOMEM, "cannot read the archive");
    if (archive_read_support_format_tar(layer->tar) != ARCHIVE_OK ||
        archive_read_support_format_empty(layer->tar) != ARCHIVE_OK ||
        archive_read_open(layer->tar, layer, NULL, feed_tar, NULL) != ARCHIVE_OK)
        return layer_failed(layer, layer->tar);
    return 0;
}

static int copy_data(Layer *layer, const char *path, int fd)
{
    const void *data;
    size_t size;
    int64_t offset;
    int status;

    while ((status = archive_read_data_block(layer->tar, &data, &size, &offset)) == ARCHIVE_OK) {
        const char *at = data;

        while (size > 0) {
            ssize_t count = pwrite(fd, at, size, offset);

            if (count < 0 && errno == EINTR)
                continue;
            if (count < 0)
                return failure_set(layer->why, FAILURE_INTERNAL, errno,
                                   "entry \"%.300s\": cannot write", path);
            at += count;
            offset += count;
            size -= (size_t)count;
        }
    }
    return status == ARCHIVE_EOF ? 0 : layer_failed(layer, layer->tar);
}

static int collect_attributes(Layer *layer, struct archive_entry *from, const char *path,
                              TreeAttribute *ret, size_t *ret_count)
{
    const char *name;
    const void *value;
    size_t size, count = 0;

    if (archive_entry_xattr_reset(from) > ATTRIBUTES_MAX)
        return failure_say(layer->why, FAILURE_INVALID_ARGUMENT,
                           "entry \"%.300s\": more than %d attributes", path, ATTRIBUTES_MAX);
    while (count < ATTRIBUTES_MAX && archive_entry_xattr_next(from, &name, &value, &size) == 0) {
        if (!name)
            continue;
        if (size > LAYER_ATTRIBUTE_MAX)
            return failure_say(layer->why, FAILURE_INVALID_ARGUMENT,
                               "entry \"%.300s\": attribute %.255s has %zu bytes, limit %d", path,
                               name, size, LAYER_ATTRIBUTE_MAX);
        ret[count++] = (TreeAttribute){.name = name, .value = value, .size = size};
    }
    *ret_count = count;
    return 0;
}

static int add_entry(Layer *layer, Tree *tree, struct archive_entry *from)
{
    TreeAttribute attributes[ATTRIBUTES_MAX];
    const char *hard_link = archive_entry_hardlink(from);
    struct timespec modified = {archive_entry_mtime(from), archive_entry_mtime_nsec(from)};
    struct timespec accessed = {archive_entry_atime(from), archive_entry_atime_nsec(from)};
    TreeEntry entry = {
        .path = archive_entry_pathname(from),
        .link = hard_link ? hard_link : archive_entry_symlink(from),
        .mode = hard_link ? 0 : archive_entry_mode(from),
        .uid = archive_entry_uid(from),
        .gid = archive_entry_gid(from),
        .size = archive_entry_size_is_set(from) ? (uint64_t)archive_entry_size(from) : 0,
        .device = archive_entry_rdev(from),
        .times = {archive_entry_atime_is_set(from) ? accessed : modified, modified},
        .attributes = attributes,
    };
    int fd, r;

    if (!entry.path)
        return failure_say(layer->why, FAILURE_INVALID_ARGUMENT, "an entry has no usable name");
    r = collect_attributes(layer, from, entry.path, attributes, &entry.attributes_count);
    if (r < 0)
        return r;
    r = tree_add(tree, &entry, &fd, layer->why);
    if (r < 0 || fd < 0)
        return r;
    r = copy_data(layer, entry.path, fd);
    if (r < 0) {
        (void)close(fd);
        return r;
    }
    return tree_finish_file(&entry, fd, layer->why);
}

static int add_entries(Layer *layer, Tree *tree)
{
    struct archive_entry *entry;
    int status, r;

    /* ARCHIVE_WARN is a header with something odd in it that could be read all the same. */
    while ((status = archive_read_next_header(layer->tar, &entry)) == ARCHIVE_OK ||
           status == ARCHIVE_WARN) {
        if (++layer->entries > layer->limits.entries)
            return failure_set(layer->why, FAILURE_RESOURCE_EXHAUSTED, EFBIG,
                               "the archive has more than %llu entries",
                               (unsigned long long)layer->limits.entries);
        r = add_entry(layer, tree, entry);
        if (r < 0)
            return r;
    }
    return status == ARCHIVE_EOF ? tree_finish(tree, layer->why) : layer_failed(layer, layer->tar);
}

/* The diff id covers what comes after the archive's end too. */
static int read_rest(Layer *layer)
{
    const void *data;
    ssize_t size;

    do {
        data = NULL;
        size = layer_read(layer, &data);
    } while (size > 0 || (size == 0 && data));
    return size < 0 ? (int)size : 0;
}

static void layer_free(Layer **layer)
{
    if (*layer)
        layer_done(*layer);
    free(*layer);
}

int layer_extract(int archive_fd, int root_fd, const LayerLimits *limits, const TreeHelper *helper,
                  Digest *ret_diff_id, Failure *why)
{
    CLEANUP(layer_free) Layer *layer = calloc(1, sizeof(*layer));
    CLEANUP(tree_cleanup) Tree *tree = NULL;
    int r;

    if (!layer)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot read the archive");
    layer->fd = archive_fd;
    layer->limits = *limits;
    layer->why = why;
    r = digest_stream_new(DIGEST_SHA256, &layer->digest);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot hash the archive");
    r = tree_new(root_fd, helper, &tree);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot prepare the layer's directory");
    if ((r = open_packed(layer)) < 0 || (r = open_tar(layer)) < 0 ||
        (r = add_entries(layer, tree)) < 0 || (r = read_rest(layer)) < 0)
        return r;
    r = digest_stream_finish(layer->digest, ret_diff_id);
    return r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot hash the archive") : 0;
}
