/* SPDX-License-Identifier: Apache-2.0 */
/* The image store: finding, removing, garbage. */
#include "dispatcher/image/store.h"

#include <errno.h>
#include <limits.h>
#include <time.h>

#include "dispatcher/image/commit.h"
#include "dispatcher/image/garbage.h"
#include "dispatcher/image/load.h"
#include "test/images/layout.h"
#include "test/unit/test.h"

typedef struct Fixture {
    Layout layout;
    ImageStore *store;
    ImagePlace place;
} Fixture;

static void ignore_image(void *context, const Podmon__ImageRecord *record)
{
    (void)context;
    (void)record;
}

static bool fixture_init(Fixture *fixture)
{
    Failure why = {0};

    *fixture = (Fixture){.place = {-1, -1, -1, -1, -1, NULL}};
    layout_init(&fixture->layout);
    layout_image(&fixture->layout, "busybox:latest", "file", "one");
    layout_image(&fixture->layout, "quay.io/a/b:1", "file", "two");
    layout_finish(&fixture->layout);
    return image_load(fixture->layout.root, fixture->layout.source, NULL, ignore_image, NULL,
                      &why) == 2 &&
           image_store_open(fixture->layout.root, &fixture->store, NULL) == 0 &&
           image_place_open(fixture->layout.root, &fixture->place, NULL) == 0;
}

static void fixture_done(Fixture *fixture)
{
    image_store_free(fixture->store);
    image_place_done(&fixture->place);
    layout_done(&fixture->layout);
}

#define FIXTURE                                                                                    \
    CLEANUP(fixture_done) Fixture fixture = {.layout = {.dir_fd = -1, .source_fd = -1}};           \
    if (geteuid() != 0)                                                                            \
        SKIP("needs root");                                                                        \
    CHECK(fixture_init(&fixture))

static bool layer_exists(const Fixture *fixture, const char *chain_id)
{
    char path[PATH_MAX];

    return image_store_layer_path(fixture->store, chain_id, path) == 0 && access(path, F_OK) == 0;
}

static int remove_image(Fixture *fixture, const char *id, char *const *layers, Failure *why)
{
    AUTO_CLOSE int sweep_fd = image_store_hold_sweep(fixture->store);

    return image_store_remove(fixture->store, id, sweep_fd, layers, why);
}

static int collect_garbage(const ImagePlace *place, char *const *layers, unsigned int wait_ms,
                           GarbageCount *ret, Failure *why)
{
    AUTO_CLOSE int sweep_fd = image_place_lock(place, PLACE_LOCK_SWEEP, wait_ms);

    return sweep_fd < 0 ? sweep_fd
                        : image_garbage_collect(place, &sweep_fd, layers, wait_ms, ret, why);
}

/* Removal sweeps in a process of its own. */
static bool layer_goes(const Fixture *fixture, const char *chain_id)
{
    static const struct timespec pause = {.tv_nsec = 10L * 1000 * 1000};

    for (int i = 0; i < 500 && layer_exists(fixture, chain_id); i++)
        (void)nanosleep(&pause, NULL);
    return !layer_exists(fixture, chain_id);
}

TEST(images_are_found_by_all_their_names)
{
    FIXTURE;
    const Podmon__ImageRecord *record, *found;
    char prefix[32];

    CHECK_EQ(image_store_find(fixture.store, "quay.io/a/b:1", &record), 0);
    (void)snprintf(prefix, sizeof(prefix), "%.12s", record->id + 7);
    const char *names[] = {record->id,      record->id + 7,   prefix,
                           record->tags[0], record->manifest, record->digests[0]};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        CHECK_EQ(image_store_find(fixture.store, names[i], &found), 0);
        CHECK(found == record);
    }
    CHECK_EQ(image_store_find(fixture.store, "docker.io/library/busybox:latest", &found), 0);
    CHECK_EQ(image_store_find(fixture.store, "busybox:1", &found), -ENOENT);
    prefix[11] = 0;
    CHECK_EQ(image_store_find(fixture.store, prefix, &found), -ENOENT);
    CHECK_EQ(image_store_find(fixture.store, "UPPER", &found), -EINVAL);
    CHECK_EQ(image_store_find(fixture.store, "", &found), -EINVAL);
    CHECK_EQ(image_store_find(fixture.store, "../../etc/passwd", &found), -EINVAL);
}

TEST(removing_takes_what_nobody_else_needs)
{
    FIXTURE;
    const Podmon__ImageRecord *record;
    char shared_layer[DIGEST_TEXT_SIZE], own_layer[DIGEST_TEXT_SIZE], id[DIGEST_TEXT_SIZE];
    uint64_t bytes, inodes, less, fewer;
    Failure why;

    CHECK_EQ(image_store_usage(fixture.store, &bytes, &inodes), 0);
    CHECK(bytes > 0 && inodes > 10);
    CHECK_EQ(image_store_find(fixture.store, "busybox", &record), 0);
    (void)snprintf(shared_layer, sizeof(shared_layer), "%s", record->layers[0]);
    (void)snprintf(own_layer, sizeof(own_layer), "%s", record->layers[1]);
    (void)snprintf(id, sizeof(id), "%s", record->id);
    CHECK_EQ(remove_image(&fixture, id, NULL, &why), 0);
    image_store_sync(fixture.store);
    CHECK_EQ(image_store_count(fixture.store), 1);
    CHECK(layer_goes(&fixture, own_layer));
    CHECK(layer_exists(&fixture, shared_layer));
    CHECK_EQ(image_store_usage(fixture.store, &less, &fewer), 0);
    CHECK(less < bytes && fewer < inodes);
    CHECK_EQ(remove_image(&fixture, id, NULL, &why), 0);
    CHECK_EQ(remove_image(&fixture, "busybox", NULL, &why), -EINVAL);
}

TEST(layers_in_use_stay)
{
    FIXTURE;
    const Podmon__ImageRecord *record;
    char layer[DIGEST_TEXT_SIZE], path[PATH_MAX];
    char *in_use[] = {path, NULL};
    GarbageCount count;

    CHECK_EQ(image_store_find(fixture.store, "busybox", &record), 0);
    (void)snprintf(layer, sizeof(layer), "%s", record->layers[1]);
    CHECK_EQ(image_store_layer_path(fixture.store, layer, path), 0);
    CHECK_EQ(remove_image(&fixture, record->id, in_use, NULL), 0);
    CHECK_EQ(collect_garbage(&fixture.place, in_use, 5000, &count, NULL), 0);
    CHECK(layer_exists(&fixture, layer));
    CHECK_EQ(collect_garbage(&fixture.place, NULL, 5000, &count, NULL), 0);
    CHECK_EQ(count.layers, 1);
    CHECK(!layer_exists(&fixture, layer));
}

TEST(nothing_is_collected_while_the_store_is_held)
{
    FIXTURE;
    GarbageCount count;
    AUTO_CLOSE int hold_fd = image_store_hold(fixture.store);
    AUTO_CLOSE int other_fd = image_store_hold(fixture.store);

    CHECK(hold_fd >= 0 && other_fd >= 0);
    CHECK_EQ(collect_garbage(&fixture.place, NULL, 20, &count, NULL), -EBUSY);
    (void)close(take_fd(&hold_fd));
    (void)close(take_fd(&other_fd));
    CHECK_EQ(collect_garbage(&fixture.place, NULL, 20, &count, NULL), 0);
    CHECK_EQ(count.layers + count.blobs + count.staging, 0);
}

TEST(the_dead_are_swept_and_the_living_are_not)
{
    FIXTURE;
    ImageCommit *commit;
    GarbageCount count;

    CHECK_EQ(image_commit_new(fixture.layout.root, &commit, NULL), 0);
    CHECK_EQ(mkdirat(fixture.place.staging_fd, "dead", 0700), 0);
    CHECK_EQ(mkdirat(fixture.place.layers_fd, "half", 0700), 0);
    CHECK_EQ(mkdirat(fixture.place.layers_fd, "half/tree", 0700), 0);
    CHECK_EQ(collect_garbage(&fixture.place, NULL, 1000, &count, NULL), 0);
    CHECK_EQ(count.staging, 1);
    CHECK_EQ(count.layers, 1);
    CHECK_EQ(faccessat(image_commit_dir_fd(commit), "layers", F_OK, 0), 0);
    image_commit_free(commit);
}

TEST(a_damaged_record_is_no_image_and_stops_the_sweep)
{
    FIXTURE;
    char name[65];
    Failure why;
    GarbageCount count;

    memset(name, 'a', 64);
    name[64] = 0;
    CHECK_EQ(file_write_at(fixture.place.records_fd, name, "torn", 4, 0600, FILE_SYNC_NO), 0);
    image_store_sync(fixture.store);
    CHECK_EQ(image_store_count(fixture.store), 2);
    CHECK_EQ(collect_garbage(&fixture.place, NULL, 1000, &count, &why), -EBADMSG);
    CHECK(strstr(why.text, name));
}

TEST_MAIN
