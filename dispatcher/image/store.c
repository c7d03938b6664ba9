/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dispatcher/image/garbage.h"
#include "dispatcher/image/names.h"
#include "dispatcher/image/place.h"
#include "dispatcher/image/reference.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/file.h"
#include "shared/id.h"
#include "shared/record.h"
#include "shared/text.h"

enum {
    LOCK_WAIT_MS = 2000, /* publishing holds it for some milliseconds */
    SWEEP_WAIT_MS = 2 * 1000,
    PREFIX_MIN = 12, /* digits of an id that may stand for it */
};

/* File times go by the kernel's tick: a change in the same tick as the last look does not show. */
#define TICK (20 * CLOCK_MILLISECOND)

/* What the store occupied when its directories had these times (layers/, blobs/sha256, sha512). */
typedef struct StoreUsage {
    struct timespec changed[3];
    uint64_t bytes, inodes;
} StoreUsage;

struct ImageStore {
    ImagePlace place;
    struct timespec changed; /* mtime of records/ when it was read; 0: to be read again */
    Podmon__ImageRecord **records;
    size_t count;
    char **damaged; /* ids of records that cannot be read, NULL-terminated or NULL */
    StoreUsage usage;
};

int image_store_open(const char *root_dir, ImageStore **ret, Failure *why)
{
    ImageStore *store = calloc(1, sizeof(*store));
    int r;

    if (!store)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot open the image store");
    r = image_place_open(root_dir, &store->place, why);
    if (r < 0) {
        free(store);
        return r;
    }
    image_store_sync(store);
    *ret = store;
    return 0;
}

static void forget_records(ImageStore *store)
{
    for (size_t i = 0; i < store->count; i++)
        podmon__image_record__free_unpacked(store->records[i], NULL);
    free(store->records);
    text_list_free(store->damaged);
    store->records = NULL;
    store->damaged = NULL;
    store->count = 0;
}

ImageStore *image_store_free(ImageStore *store)
{
    if (store) {
        forget_records(store);
        image_place_done(&store->place);
        free(store);
    }
    return NULL;
}

static int compare_age(const void *a, const void *b)
{
    const Podmon__ImageRecord *left = *(Podmon__ImageRecord *const *)a;
    const Podmon__ImageRecord *right = *(Podmon__ImageRecord *const *)b;

    if (left->stored_at != right->stored_at)
        return left->stored_at > right->stored_at ? -1 : 1;
    return strcmp(left->id, right->id);
}

/* Youngest first, so that of two images with one name (a moment while a name moves) the younger is
 * found. */
static void read_records(ImageStore *store)
{
    CLEANUP(image_names_cleanup) char **files = NULL;
    size_t room = 0;

    if (image_names_list(store->place.records_fd, &files) < 0)
        return;
    while (files && files[room])
        room++;
    store->records = calloc(room + 1, sizeof(Podmon__ImageRecord *));
    for (size_t i = 0; store->records && i < room; i++) {
        ProtobufCMessage *message;
        int r;

        if (!id_is_valid(files[i]))
            continue;
        r = record_read_at(store->place.records_fd, files[i], &podmon__image_record__descriptor,
                           NULL, &message);
        if (r == 0)
            store->records[store->count++] = (Podmon__ImageRecord *)message;
        else if (r == -EBADMSG)
            (void)text_list_add(&store->damaged, files[i]);
    }
    if (store->records && store->count > 1)
        qsort(store->records, store->count, sizeof(Podmon__ImageRecord *), compare_age);
}

/* The time to remember for a directory that was read now: a change in this tick still would not
 * show, so 0, which no directory has. */
static struct timespec settled(struct timespec changed)
{
    int64_t age =
        clock_real() - ((int64_t)changed.tv_sec * (int64_t)CLOCK_SECOND + changed.tv_nsec);

    return age > (int64_t)TICK ? changed : (struct timespec){0};
}

static bool is_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

void image_store_sync(ImageStore *store)
{
    struct stat status;

    if (fstat(store->place.records_fd, &status) < 0 || is_same_time(store->changed, status.st_mtim))
        return;
    store->changed = settled(status.st_mtim);
    forget_records(store);
    read_records(store);
}

char *const *image_store_damaged(const ImageStore *store)
{
    return store->damaged;
}

size_t image_store_count(const ImageStore *store)
{
    return store->count;
}

const Podmon__ImageRecord *image_store_get(const ImageStore *store, size_t position)
{
    return store->records[position];
}

const char *image_store_path(const ImageStore *store)
{
    return store->place.path;
}

/* `hex` is an id without "sha256:", or its beginning. */
static int find_id(const ImageStore *store, const char *hex, const Podmon__ImageRecord **ret)
{
    size_t length = strlen(hex), found = 0;

    for (size_t i = 0; i < store->count; i++) {
        const char *id = store->records[i]->id + strlen("sha256:");

        if (strncmp(id, hex, length) != 0)
            continue;
        *ret = store->records[i];
        found++;
    }
    return found == 1 ? 0 : -ENOENT;
}

static int find_digest(const ImageStore *store, const char *digest, const Podmon__ImageRecord **ret)
{
    for (size_t i = 0; i < store->count; i++) {
        const Podmon__ImageRecord *record = store->records[i];

        if (strcmp(record->manifest, digest) == 0) {
            *ret = record;
            return 0;
        }
        for (size_t j = 0; j < record->n_digests; j++) {
            const char *at = strchr(record->digests[j], '@');

            if (at && strcmp(at + 1, digest) == 0) {
                *ret = record;
                return 0;
            }
        }
    }
    return -ENOENT;
}

static int find_name(const ImageStore *store, const ImageReference *reference,
                     const Podmon__ImageRecord **ret)
{
    char name[IMAGE_REFERENCE_SIZE];

    if (reference->digest[0])
        image_reference_print_digest(reference, reference->digest, name);
    else
        image_reference_print_tag(reference, name);
    for (size_t i = 0; i < store->count; i++) {
        const Podmon__ImageRecord *record = store->records[i];

        if (reference->digest[0] ? image_names_have(record->n_digests, record->digests, name)
                                 : image_names_have(record->n_tags, record->tags, name)) {
            *ret = record;
            return 0;
        }
    }
    return -ENOENT;
}

int image_store_find(const ImageStore *store, const char *name, const Podmon__ImageRecord **ret)
{
    ImageReference reference;
    Digest digest;
    int r;

    if (digest_parse(name, &digest) == 0) {
        r = digest.algorithm == DIGEST_SHA256 ? find_id(store, strchr(name, ':') + 1, ret)
                                              : -ENOENT;
        return r == 0 ? 0 : find_digest(store, name, ret);
    }
    if (strncmp(name, "sha256:", strlen("sha256:")) == 0)
        name += strlen("sha256:");
    if (id_is_valid(name))
        return find_id(store, name, ret);
    r = image_reference_parse(name, &reference, NULL);
    if (r == 0 && find_name(store, &reference, ret) == 0)
        return 0;
    if (id_is_prefix(name) && strlen(name) >= PREFIX_MIN)
        return find_id(store, name, ret);
    return r < 0 ? -EINVAL : -ENOENT;
}

int image_store_layer_path(const ImageStore *store, const char *chain_id, char *ret)
{
    char hex[DIGEST_HEX_SIZE];
    Digest digest;
    int length;

    if (digest_parse(chain_id, &digest) < 0)
        return -EINVAL;
    digest_print_hex(&digest, hex);
    length = snprintf(ret, PATH_MAX, "%s/layers/%s/" PLACE_TREE, store->place.path, hex);
    return length < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int image_store_hold(const ImageStore *store)
{
    return image_place_lock(&store->place, PLACE_LOCK_USE, 0);
}

int image_store_hold_sweep(const ImageStore *store)
{
    return image_place_lock(&store->place, PLACE_LOCK_SWEEP, 0);
}

/* Closes all but these descriptors: clients of the caller must not wait for this process. */
static int keep_only(int *const *fds, int count)
{
    enum { FIRST = STDERR_FILENO + 1 };

    for (int i = 0; i < count; i++) {
        *fds[i] = fcntl(*fds[i], F_DUPFD_CLOEXEC, FIRST + count);
        if (*fds[i] < 0)
            return -errno;
    }
    for (int i = 0; i < count; i++) {
        *fds[i] = dup3(*fds[i], FIRST + i, O_CLOEXEC);
        if (*fds[i] < 0)
            return -errno;
    }
    return close_range((unsigned int)(FIRST + count), ~0U, 0) < 0 ? -errno : 0;
}

static void sweep(const ImageStore *store, int sweep_fd, char *const *layers_in_use)
{
    ImagePlace place = store->place;
    int *const fds[] = {&place.root_fd,   &place.records_fd, &place.blobs_fd,
                        &place.layers_fd, &place.staging_fd, &sweep_fd};
    GarbageCount count;

    if (keep_only(fds, sizeof(fds) / sizeof(fds[0])) == 0)
        (void)image_garbage_collect(&place, &sweep_fd, layers_in_use, SWEEP_WAIT_MS, &count, NULL);
}

/* In a process whose parent is gone, so that nobody has to wait for it or for the disk. Killed half
 * way it leaves garbage for the next. */
static void sweep_in_background(const ImageStore *store, int sweep_fd, char *const *layers_in_use)
{
    pid_t child = fork();

    if (child == 0) {
        if (fork() == 0)
            sweep(store, sweep_fd, layers_in_use);
        _exit(0);
    }
    if (child > 0)
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            continue;
}

int image_store_remove(ImageStore *store, const char *image_id, int sweep_fd,
                       char *const *layers_in_use, Failure *why)
{
    AUTO_CLOSE int lock_fd = -1;
    char hex[DIGEST_HEX_SIZE];
    Digest digest;

    if (digest_parse(image_id, &digest) < 0 || digest.algorithm != DIGEST_SHA256)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "\"%.200s\" is no image id", image_id);
    digest_print_hex(&digest, hex);
    lock_fd = image_place_lock(&store->place, PLACE_LOCK_WRITE, LOCK_WAIT_MS);
    if (lock_fd < 0)
        return failure_set(why, FAILURE_UNAVAILABLE, -lock_fd, "the image store is locked");
    if (unlinkat(store->place.records_fd, hex, 0) < 0) {
        if (errno == ENOENT)
            return 0;
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot remove image %.12s", hex);
    }
    store->changed = (struct timespec){0};
    (void)close(take_fd(&lock_fd));
    if (sweep_fd >= 0)
        sweep_in_background(store, sweep_fd, layers_in_use);
    return 0;
}

static void add_layers(const ImageStore *store, uint64_t *bytes, uint64_t *inodes)
{
    CLEANUP(image_names_cleanup) char **names = NULL;

    if (image_names_list(store->place.layers_fd, &names) < 0)
        return;
    for (size_t i = 0; names && names[i]; i++) {
        Podmon__LayerRecord *record;

        if (image_place_read_layer(store->place.layers_fd, names[i], &record) < 0)
            continue;
        *bytes += record->bytes;
        *inodes += record->inodes;
        podmon__layer_record__free_unpacked(record, NULL);
    }
}

static void add_blobs(int dir_fd, uint64_t *bytes, uint64_t *inodes)
{
    CLEANUP(image_names_cleanup) char **names = NULL;

    if (image_names_list(dir_fd, &names) < 0)
        return;
    for (size_t i = 0; names && names[i]; i++) {
        struct stat status;

        if (fstatat(dir_fd, names[i], &status, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        *bytes += (uint64_t)status.st_blocks * 512;
        ++*inodes;
    }
}

int image_store_usage(ImageStore *store, uint64_t *ret_bytes, uint64_t *ret_inodes)
{
    AUTO_CLOSE int sha256_fd = image_place_open_blobs(store->place.blobs_fd, DIGEST_SHA256);
    AUTO_CLOSE int sha512_fd = image_place_open_blobs(store->place.blobs_fd, DIGEST_SHA512);
    const int fds[] = {store->place.layers_fd, sha256_fd, sha512_fd};
    StoreUsage now = {0};
    bool known = true;

    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        struct stat status;

        if (fds[i] < 0)
            return fds[i];
        if (fstat(fds[i], &status) < 0)
            return -errno;
        known = known && is_same_time(store->usage.changed[i], status.st_mtim);
        now.changed[i] = settled(status.st_mtim);
    }
    if (!known) {
        add_layers(store, &now.bytes, &now.inodes);
        add_blobs(sha256_fd, &now.bytes, &now.inodes);
        add_blobs(sha512_fd, &now.bytes, &now.inodes);
        store->usage = now;
    }
    *ret_bytes = store->usage.bytes;
    *ret_inodes = store->usage.inodes;
    return 0;
}
