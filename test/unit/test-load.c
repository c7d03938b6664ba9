/* SPDX-License-Identifier: Apache-2.0 */
/* Importing: what is right is there as a whole, what is wrong leaves nothing. */
#include "dispatcher/image/load.h"

#include <errno.h>
#include <limits.h>

#include "dispatcher/image/names.h"
#include "dispatcher/image/store.h"
#include "shared/text.h"
#include "test/images/layout.h"
#include "test/unit/test.h"

#define LAYOUT                                                                                     \
    CLEANUP(layout_done) Layout layout;                                                            \
    layout_init(&layout);                                                                          \
    if (geteuid() != 0)                                                                            \
        SKIP("needs root");                                                                        \
    CHECK(layout.source_fd >= 0)

static void store_cleanup(ImageStore **store)
{
    image_store_free(*store);
}

static void count_image(void *context, const Podmon__ImageRecord *record)
{
    ++*(int *)context;
    (void)record;
}

static int load(const Layout *layout, const char *tag, Failure *why)
{
    int reported = 0;
    int r = image_load(layout->root, layout->source, tag, count_image, &reported, why);

    return r >= 0 && r != reported ? -EPROTO : r;
}

/* Entries in a directory of the store; 0 if it is not there. */
static size_t count_in(const Layout *layout, const char *name)
{
    char path[128];
    CLEANUP(image_names_cleanup) char **names = NULL;
    AUTO_CLOSE int fd = -1;

    (void)snprintf(path, sizeof(path), "root/images/%s", name);
    fd = openat(layout->dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && image_names_list(fd, &names) == 0 && names ? text_list_count(names) : 0;
}

static bool store_is_empty(const Layout *layout)
{
    return count_in(layout, "records") + count_in(layout, "layers") +
               count_in(layout, "blobs/sha256") + count_in(layout, "staging") ==
           0;
}

TEST(a_layout_is_loaded)
{
    LAYOUT;
    CLEANUP(store_cleanup) ImageStore *store = NULL;
    const Podmon__ImageRecord *record;
    char path[PATH_MAX];
    AUTO_FREE char *text = NULL;
    Failure why;

    layout_image(&layout, "quay.io/a/b:1", "file", "one");
    layout_image(&layout, "busybox:2", "file", "two");
    layout_finish(&layout);
    CHECK_EQ(load(&layout, NULL, &why), 2);
    CHECK_EQ(image_store_open(layout.root, &store, NULL), 0);
    CHECK_EQ(image_store_count(store), 2);
    CHECK_EQ(image_store_find(store, "busybox:2", &record), 0);
    CHECK_STR(record->user, "two");
    CHECK_EQ(record->n_layers, 2);
    CHECK_EQ(record->n_digests, 1);
    CHECK_EQ(image_store_layer_path(store, record->layers[1], path), 0);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK_EQ(file_read_at(fd, "file", 16, &text, NULL), 0);
    CHECK_STR(text, "two");
    CHECK_EQ(count_in(&layout, "layers"), 3);
    CHECK_EQ(count_in(&layout, "staging"), 0);
    /* Again changes nothing. */
    CHECK_EQ(load(&layout, NULL, &why), 2);
    image_store_sync(store);
    CHECK_EQ(image_store_count(store), 2);
}

TEST(a_name_moves_to_the_image_that_comes_later)
{
    LAYOUT;
    CLEANUP(store_cleanup) ImageStore *store = NULL;
    const Podmon__ImageRecord *record;

    layout_image(&layout, "x/busybox", "file", "one");
    layout_finish(&layout);
    CHECK_EQ(load(&layout, "busybox", NULL), 1);
    CHECK_EQ(image_store_open(layout.root, &store, NULL), 0);
    text_done(&layout.index);
    layout_image(&layout, "x/busybox", "file", "two");
    layout_finish(&layout);
    CHECK_EQ(load(&layout, "busybox", NULL), 1);
    image_store_sync(store);
    CHECK_EQ(image_store_count(store), 2);
    CHECK_EQ(image_store_find(store, "busybox", &record), 0);
    CHECK_STR(record->user, "two");
    for (size_t i = 0; i < 2; i++)
        CHECK_EQ(image_store_get(store, i)->n_tags,
                 strcmp(image_store_get(store, i)->user, "two") == 0);
}

TEST(indexes_lead_to_this_machine)
{
    LAYOUT;
    CLEANUP(store_cleanup) ImageStore *store = NULL;
    Text inner = {0}, layer = {0}, index = {0};

    layout_layer(&layer, "file", "x");
    layout_manifest(&layout, &layer, 1, "u", &inner);
    for (int depth = 0; depth < 6; depth++) {
        text_done(&index);
        (void)text_print(&index, "{\"schemaVersion\":2,\"manifests\":[%s}]}", inner.data);
        text_done(&inner);
        layout_blob(&layout, index.data, index.size, "index.v1+json", &inner);
        text_done(&layout.index);
        layout_entry(&layout, inner.data, "a:1");
        layout_finish(&layout);
        Failure why = {0};
        CHECK_EQ(load(&layout, NULL, &why), depth < 4 ? 1 : -EINVAL);
        CHECK(depth < 4 || strstr(why.text, "deep"));
    }
    text_done(&inner);
    text_done(&index);
    CHECK_EQ(image_store_open(layout.root, &store, NULL), 0);
    CHECK_EQ(image_store_count(store), 1);
}

static void check_refused(Layout *layout, const char *tag, const char *word)
{
    Failure why = {0};

    CHECK(load(layout, tag, &why) < 0);
    if (!strstr(why.text, word))
        printf("  %s\n", why.text);
    CHECK(strstr(why.text, word));
    CHECK(store_is_empty(layout));
}

TEST(names_must_be_whole)
{
    LAYOUT;

    layout_image(&layout, "latest", "file", "u");
    layout_finish(&layout);
    check_refused(&layout, NULL, "--tag");
    check_refused(&layout, "UPPER", "lower-case");
    layout_image(&layout, "a:1", "file", "v");
    layout_finish(&layout);
    check_refused(&layout, "b", "several");
}

/* Changes one byte in every blob in turn: each is noticed. */
TEST(a_changed_blob_is_refused)
{
    LAYOUT;
    CLEANUP(image_names_cleanup) char **names = NULL;

    layout_image(&layout, "a:1", "file", "u");
    layout_finish(&layout);
    AUTO_CLOSE int fd = openat(layout.source_fd, "blobs/sha256", O_RDONLY | O_CLOEXEC);
    CHECK_EQ(image_names_list(fd, &names), 0);
    CHECK_EQ(text_list_count(names), 4);
    for (size_t i = 0; i < 4; i++) {
        AUTO_FREE char *data = NULL;
        size_t size;

        CHECK_EQ(file_read_at(fd, names[i], 1 << 20, &data, &size), 0);
        data[size / 2] ^= 1;
        CHECK_EQ(file_write_at(fd, names[i], data, size, 0644, FILE_SYNC_NO), 0);
        check_refused(&layout, NULL, "digest");
        data[size / 2] ^= 1;
        CHECK_EQ(file_write_at(fd, names[i], data, size - 1, 0644, FILE_SYNC_NO), 0);
        check_refused(&layout, NULL, "bytes");
        CHECK_EQ(unlinkat(fd, names[i], 0), 0);
        check_refused(&layout, NULL, "cannot open");
        CHECK_EQ(file_write_at(fd, names[i], data, size, 0644, FILE_SYNC_NO), 0);
    }
    CHECK_EQ(load(&layout, NULL, NULL), 1);
}

TEST(a_layer_that_is_not_what_the_configuration_says_is_refused)
{
    LAYOUT;
    Text layers[2] = {0}, config = {0}, manifest = {0}, entry = {0};

    layout_layer(&layers[0], "a", "a");
    layout_layer(&layers[1], "b", "b");
    layout_config(&config, &layers[0], 1, "");
    (void)text_add(&manifest, "{\"schemaVersion\":2,\"config\":");
    layout_blob(&layout, config.data, config.size, "config.v1+json", &manifest);
    (void)text_add(&manifest, "},\"layers\":[");
    layout_blob(&layout, layers[1].data, layers[1].size, "layer.v1.tar", &manifest);
    (void)text_add(&manifest, "}]}");
    layout_blob(&layout, manifest.data, manifest.size, "manifest.v1+json", &entry);
    layout_entry(&layout, entry.data, "a:1");
    layout_finish(&layout);
    check_refused(&layout, NULL, "uncompressed");
    text_done(&layers[0]);
    text_done(&layers[1]);
    text_done(&config);
    text_done(&manifest);
    text_done(&entry);
}

TEST(an_archive_of_docker_save_is_loaded)
{
    LAYOUT;
    CLEANUP(store_cleanup) ImageStore *store = NULL;
    const Podmon__ImageRecord *record;
    Text layer = {0}, config = {0}, tar = {0};
    char path[128];
    Failure why = {0};

    tar_add(&layer, (TarEntry){.name = "f", .type = '5', .mode = 0755});
    layout_config(&config, &layer, 1, "saved");
    /* The layer's bytes have zeros: put in as the archive's last file, by hand. */
    tar_add(&tar, (TarEntry){.name = "c.json", .type = '0', .mode = 0644, .data = config.data});
    tar_add(&tar, (TarEntry){.name = "manifest.json",
                             .type = '0',
                             .mode = 0644,
                             .data = "[{\"Config\":\"c.json\",\"RepoTags\":[\"s:1\",\"t:2\"],"
                                     "\"Layers\":[\"link.tar\"]}]"});
    tar_add(&tar, (TarEntry){.name = "link.tar", .type = '2', .link = "l/layer.tar"});
    TarEntry file = {.name = "l/layer.tar", .type = '0', .mode = 0644};
    tar_block(&tar, &file, layer.size);
    tar_data(&tar, layer.data, layer.size);
    tar_end(&tar);
    CHECK_EQ(file_write_at(layout.dir_fd, "saved.tar", tar.data, tar.size, 0644, FILE_SYNC_NO), 0);
    (void)snprintf(path, sizeof(path), "%s/saved.tar", layout.path);
    int count = 0;
    int r = image_load(layout.root, path, NULL, count_image, &count, &why);
    if (r < 0)
        printf("  %s\n", why.text);
    CHECK_EQ(r, 1);
    CHECK_EQ(image_store_open(layout.root, &store, NULL), 0);
    CHECK_EQ(image_store_find(store, "t:2", &record), 0);
    CHECK_STR(record->user, "saved");
    CHECK_EQ(record->n_tags, 2);
    text_done(&layer);
    text_done(&config);
    text_done(&tar);
}

TEST(what_is_no_image_is_refused)
{
    LAYOUT;
    Failure why = {0};

    check_refused(&layout, NULL, "neither");
    layout_finish(&layout);
    check_refused(&layout, NULL, "no image for this machine");
    CHECK(image_load(layout.root, "/dev/null", NULL, count_image, NULL, &why) < 0);
    CHECK(strstr(why.text, "/dev/null"));
    CHECK_EQ(image_load(layout.root, "/nonexistent", NULL, count_image, NULL, &why), -ENOENT);
    CHECK_EQ(why.code, FAILURE_NOT_FOUND);
}

TEST_MAIN
