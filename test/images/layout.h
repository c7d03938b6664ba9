/* SPDX-License-Identifier: Apache-2.0 */
/* Small OCI layouts and docker-save archives for tests, right or wrong in one place. */
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dispatcher/image/digest.h"
#include "shared/cleanup.h"
#include "shared/file.h"
#include "test/images/tarball.h"

#define OCI "application/vnd.oci.image."

typedef struct Layout {
    char path[64];
    int dir_fd;
    char root[80], source[80]; /* the store's ROOT, and the layout */
    int source_fd;
    Text index; /* the entries of index.json so far */
} Layout;

static void layout_init(Layout *layout)
{
    *layout = (Layout){.path = "/tmp/podmon-test-image-XXXXXX", .dir_fd = -1, .source_fd = -1};
    if (!mkdtemp(layout->path))
        return;
    layout->dir_fd = open(layout->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)snprintf(layout->root, sizeof(layout->root), "%s/root", layout->path);
    (void)snprintf(layout->source, sizeof(layout->source), "%s/source", layout->path);
    layout->source_fd = file_open_directory_at(layout->dir_fd, "source", 0755);
    (void)mkdirat(layout->source_fd, "blobs", 0755);
    (void)mkdirat(layout->source_fd, "blobs/sha256", 0755);
}

static void layout_done(Layout *layout)
{
    AUTO_CLOSE int parent_fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    text_done(&layout->index);
    (void)close(layout->source_fd);
    (void)close(layout->dir_fd);
    (void)file_delete_tree_at(parent_fd, strrchr(layout->path, '/') + 1);
}

/* Stores the bytes and appends their descriptor to `ret`. */
static void layout_blob(Layout *layout, const void *data, size_t size, const char *kind, Text *ret)
{
    char text[DIGEST_TEXT_SIZE], path[DIGEST_TEXT_SIZE + 16];
    Digest digest;

    (void)digest_of(DIGEST_SHA256, data, size, &digest);
    digest_print(&digest, text);
    (void)snprintf(path, sizeof(path), "blobs/sha256/%s", text + 7);
    (void)file_write_at(layout->source_fd, path, data, size, 0644, FILE_SYNC_NO);
    (void)text_print(ret, "{\"mediaType\":\"" OCI "%s\",\"digest\":\"%s\",\"size\":%zu", kind, text,
                     size);
}

/* A layer with one file of that name and content. */
static void layout_layer(Text *ret, const char *file, const char *content)
{
    tar_add(ret, (TarEntry){.name = file, .type = '0', .mode = 0644, .data = content});
    tar_end(ret);
}

/* The configuration of an image of these layers; "" for a user that does not matter. */
static void layout_config(Text *ret, const Text *layers, size_t count, const char *user)
{
    (void)text_print(ret,
                     "{\"os\":\"linux\",\"config\":{\"User\":\"%s\"},\"rootfs\":{\"type\":"
                     "\"layers\",\"diff_ids\":[",
                     user);
    for (size_t i = 0; i < count; i++) {
        char text[DIGEST_TEXT_SIZE];
        Digest digest;

        (void)digest_of(DIGEST_SHA256, layers[i].data, layers[i].size, &digest);
        digest_print(&digest, text);
        (void)text_print(ret, "%s\"%s\"", i ? "," : "", text);
    }
    (void)text_add(ret, "]}}");
}

/* The descriptor of a manifest over these layers, which are freed; without its closing brace. */
static void layout_manifest(Layout *layout, Text *layers, size_t count, const char *user, Text *ret)
{
    Text config = {0}, manifest = {0};

    layout_config(&config, layers, count, user);
    (void)text_add(&manifest, "{\"schemaVersion\":2,\"config\":");
    layout_blob(layout, config.data, config.size, "config.v1+json", &manifest);
    (void)text_add(&manifest, "},\"layers\":[");
    for (size_t i = 0; i < count; i++) {
        (void)text_add(&manifest, i ? "," : "");
        layout_blob(layout, layers[i].data, layers[i].size, "layer.v1.tar", &manifest);
        (void)text_add(&manifest, "}");
        text_done(&layers[i]);
    }
    (void)text_add(&manifest, "]}");
    layout_blob(layout, manifest.data, manifest.size, "manifest.v1+json", ret);
    text_done(&config);
    text_done(&manifest);
}

/* Makes the descriptor (without its closing brace) an entry of index.json. */
static void layout_entry(Layout *layout, const char *descriptor, const char *name)
{
    (void)text_print(&layout->index, "%s%s", layout->index.size ? "," : "", descriptor);
    if (name)
        (void)text_print(&layout->index,
                         ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"%s\"}", name);
    (void)text_add(&layout->index, "}");
}

static void layout_finish(Layout *layout)
{
    Text text = {0};

    (void)text_print(&text, "{\"schemaVersion\":2,\"manifests\":[%s]}",
                     layout->index.data ? layout->index.data : "");
    (void)file_write_at(layout->source_fd, "index.json", text.data, text.size, 0644, FILE_SYNC_NO);
    (void)file_write_at(layout->source_fd, "oci-layout", "{}", 2, 0644, FILE_SYNC_NO);
    text_done(&text);
}

/* An image with the layers base (the same in all) and `file`. */
static void layout_image(Layout *layout, const char *name, const char *file, const char *user)
{
    Text layers[2] = {0}, descriptor = {0};

    layout_layer(&layers[0], "base", "base");
    layout_layer(&layers[1], file, user);
    layout_manifest(layout, layers, 2, user, &descriptor);
    layout_entry(layout, descriptor.data, name);
    text_done(&descriptor);
}
