/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/layer.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dispatcher/image/packed.h"
#include "shared/cleanup.h"

enum { ATTRIBUTES_MAX = 256 };

/* What comes out of `packed` goes into libarchive's reader of tar. */
typedef struct Layer {
    Packed *packed;
    struct archive *tar;
    uint64_t entries, entries_max;
    Failure *why;
} Layer;

static void layer_done(Layer *layer)
{
    archive_read_free(layer->tar);
    packed_free(layer->packed);
}

void layer_prepare(void)
{
    Digest ignored;

    /* PAX headers are UTF-8; in the "C" locale libarchive would refuse all but ASCII. */
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    /* libcrypto reads its configuration when it is first used. */
    (void)digest_of(DIGEST_SHA256, "", 0, &ignored);
}

/* libarchive hides what the input side failed with. */
static int layer_failed(Layer *layer)
{
    const char *text = archive_error_string(layer->tar);

    if (packed_error(layer->packed) < 0)
        return packed_error(layer->packed);
    return failure_say(layer->why, FAILURE_INVALID_ARGUMENT, "the archive is damaged: %s",
                       text ? text : "no reason given");
}

static la_ssize_t feed_tar(struct archive *archive, void *context, const void **ret)
{
    Layer *layer = context;
    ssize_t size = packed_read(layer->packed, ret);

    if (size < 0)
        archive_set_error(archive, EIO, "%s", "cannot read");
    return size < 0 ? -1 : size;
}

static int open_tar(Layer *layer)
{
    layer->tar = archive_read_new();
    if (!layer->tar)
        return failure_set(layer->why, FAILURE_INTERNAL, ENOMEM, "cannot read the archive");
    if (archive_read_support_format_tar(layer->tar) != ARCHIVE_OK ||
        archive_read_support_format_empty(layer->tar) != ARCHIVE_OK ||
        archive_read_open(layer->tar, layer, NULL, feed_tar, NULL) != ARCHIVE_OK)
        return layer_failed(layer);
    return 0;
}

/* *ret_end is where the last byte went. */
static int copy_data(Layer *layer, const char *path, int fd, uint64_t *ret_end)
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
        *ret_end = (uint64_t)offset;
    }
    return status == ARCHIVE_EOF ? 0 : layer_failed(layer);
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
    uint64_t written = 0;
    int fd, r;

    if (!entry.path)
        return failure_say(layer->why, FAILURE_INVALID_ARGUMENT, "an entry has no usable name");
    r = collect_attributes(layer, from, entry.path, attributes, &entry.attributes_count);
    if (r < 0)
        return r;
    r = tree_add(tree, &entry, &fd, layer->why);
    if (r < 0 || fd < 0)
        return r;
    r = copy_data(layer, entry.path, fd, &written);
    if (r < 0) {
        (void)close(fd);
        return r;
    }
    return tree_finish_file(&entry, fd, written, layer->why);
}

static int add_entries(Layer *layer, Tree *tree)
{
    struct archive_entry *entry;
    int status, r;

    /* ARCHIVE_WARN is a header with something odd in it that could be read all the same. */
    while ((status = archive_read_next_header(layer->tar, &entry)) == ARCHIVE_OK ||
           status == ARCHIVE_WARN) {
        if (++layer->entries > layer->entries_max)
            return failure_set(layer->why, FAILURE_RESOURCE_EXHAUSTED, EFBIG,
                               "the archive has more than %llu entries",
                               (unsigned long long)layer->entries_max);
        r = add_entry(layer, tree, entry);
        if (r < 0)
            return r;
    }
    return status == ARCHIVE_EOF ? tree_finish(tree, layer->why) : layer_failed(layer);
}

/* The diff id covers what comes after the archive's end too. */
static int read_rest(Layer *layer)
{
    const void *data;
    ssize_t size;

    do
        size = packed_read(layer->packed, &data);
    while (size > 0);
    return (int)size;
}

int layer_extract(int archive_fd, int root_fd, const LayerLimits *limits, const TreeHelper *helper,
                  Digest *ret_diff_id, Failure *why)
{
    CLEANUP(layer_done) Layer layer = {.entries_max = limits->entries, .why = why};
    CLEANUP(tree_cleanup) Tree *tree = NULL;
    int r = packed_new(archive_fd, limits->bytes, &layer.packed, why);

    if (r < 0)
        return r;
    r = tree_new(root_fd, helper, &tree);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot prepare the layer's directory");
    if ((r = open_tar(&layer)) < 0 || (r = add_entries(&layer, tree)) < 0 ||
        (r = read_rest(&layer)) < 0)
        return r;
    r = packed_finish(layer.packed, ret_diff_id);
    return r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot hash the archive") : 0;
}
