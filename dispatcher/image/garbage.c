/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/garbage.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "dispatcher/image/blob.h"
#include "dispatcher/image/manifest.h"
#include "dispatcher/image/names.h"
#include "dispatcher/image/partial.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/file.h"
#include "shared/id.h"
#include "shared/record.h"
#include "shared/text.h"

enum { SWEEP_WAIT_MS = 10 * 1000 };

#define PARTIAL_AGE_MOST                                                                           \
    (3600 * CLOCK_SECOND) /* a download that was cut is taken up again soon                        \
                           */

/* Names ("sha256:…" of blobs, bare digits of layers) that stay: a tree of tsearch(3). */
typedef struct Kept {
    void *blobs, *layers;
} Kept;

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void kept_done(Kept *kept)
{
    tdestroy(kept->blobs, free);
    tdestroy(kept->layers, free);
}

static int keep(void **set, const char *name)
{
    char *copy, **found;

    if (tfind(name, set, compare))
        return 0;
    copy = strdup(name);
    found = copy ? tsearch(copy, set, compare) : NULL;
    if (!found) {
        free(copy);
        return -ENOMEM;
    }
    return 0;
}

static int keep_digest(Kept *kept, const Digest *digest)
{
    char text[DIGEST_TEXT_SIZE];

    digest_print(digest, text);
    return keep(&kept->blobs, text);
}

static int keep_blobs(const ImagePlace *place, const char *manifest_digest, Kept *kept,
                      Failure *why)
{
    CLEANUP(manifest_done) Manifest manifest = {0};
    AUTO_FREE char *text = NULL;
    Digest digest;
    size_t size;
    int r;

    if (digest_parse(manifest_digest, &digest) < 0)
        return failure_say(why, FAILURE_INTERNAL, "a record names no manifest");
    if ((r = keep_digest(kept, &digest)) < 0 ||
        (r = blob_read(place->blobs_fd, &digest, MANIFEST_SIZE_MAX, &text, &size, why)) < 0 ||
        (r = manifest_parse(text, size, &manifest, why)) < 0 ||
        (r = keep_digest(kept, &manifest.config.digest)) < 0)
        return r;
    for (size_t i = 0; r == 0 && i < manifest.entries_count; i++)
        r = keep_digest(kept, &manifest.entries[i].digest);
    return r;
}

static int keep_image(const ImagePlace *place, const char *file, Kept *kept, Failure *why)
{
    ProtobufCMessage *message;
    Podmon__ImageRecord *record;
    int r;

    /* The temporary file of a writer that died is no record. */
    if (!id_is_valid(file))
        return 0;
    r = record_read_at(place->records_fd, file, &podmon__image_record__descriptor, NULL, &message);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot read record %s", file);
    record = (Podmon__ImageRecord *)message;
    r = keep_blobs(place, record->manifest, kept, why);
    for (size_t i = 0; r == 0 && i < record->n_layers; i++) {
        const char *colon = strchr(record->layers[i], ':');

        r = keep(&kept->layers, colon ? colon + 1 : record->layers[i]);
    }
    podmon__image_record__free_unpacked(record, NULL);
    return r;
}

/* "…/layers/<hex>/tree". */
static int keep_used(char *const *layers_in_use, Kept *kept)
{
    for (size_t i = 0; layers_in_use && layers_in_use[i]; i++) {
        const char *end = strrchr(layers_in_use[i], '/');
        char hex[ID_SIZE];
        int r;

        if (!end || end - layers_in_use[i] < ID_LENGTH)
            continue;
        (void)snprintf(hex, sizeof(hex), "%s", end - ID_LENGTH);
        r = id_is_valid(hex) ? keep(&kept->layers, hex) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static int keep_names(int dir_fd, const char *prefix, void **set)
{
    CLEANUP(image_names_cleanup) char **names = NULL;
    int r = dir_fd < 0 ? 0 : image_names_list(dir_fd, &names);

    for (size_t i = 0; r == 0 && names && names[i]; i++) {
        AUTO_FREE char *name = NULL;

        if (asprintf(&name, "%s%s", prefix, names[i]) < 0) {
            name = NULL;
            return -ENOMEM;
        }
        r = keep(set, name);
    }
    return r;
}

/* What a living maker counts on stays; a dead one's directory is added to `gone`. */
static int sort_staging(const ImagePlace *place, Kept *kept, char ***gone)
{
    CLEANUP(image_names_cleanup) char **names = NULL;
    int r = image_names_list(place->staging_fd, &names);

    for (size_t i = 0; r == 0 && names && names[i]; i++) {
        AUTO_CLOSE int fd =
            openat(place->staging_fd, names[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
            AUTO_CLOSE int layers_fd = openat(fd, "layers", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

            r = keep_names(layers_fd, "", &kept->layers);
            continue;
        }
        r = text_list_add(gone, names[i]);
    }
    return r;
}

/* Only moves them out of the way, which takes no time. */
static int sweep_layers(const ImagePlace *place, const Kept *kept, char ***gone, size_t *ret_count)
{
    CLEANUP(image_names_cleanup) char **names = NULL;
    int r = image_names_list(place->layers_fd, &names);

    for (size_t i = 0; r == 0 && names && names[i]; i++) {
        AUTO_CLOSE int fd = -1;

        if (tfind(names[i], &kept->layers, compare))
            continue;
        /* Without its size the layer is none any more, however far the rest gets. */
        fd = openat(place->layers_fd, names[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0 && unlinkat(fd, PLACE_SIZE, 0) < 0 && errno != ENOENT)
            return -errno;
        /* Where there is no room to move it, it is deleted in its place. */
        if (renameat(place->layers_fd, names[i], place->staging_fd, names[i]) == 0)
            r = text_list_add(gone, names[i]);
        else
            r = file_delete_tree_at(place->layers_fd, names[i]);
        *ret_count += r == 0;
    }
    return r;
}

static int sweep_blobs(const ImagePlace *place, DigestAlgorithm algorithm, const Kept *kept,
                       size_t *ret_count)
{
    const char *directory = digest_algorithm_name(algorithm);
    AUTO_CLOSE int dir_fd =
        openat(place->blobs_fd, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    CLEANUP(image_names_cleanup) char **names = NULL;
    int r;

    if (dir_fd < 0)
        return errno == ENOENT ? 0 : -errno;
    r = image_names_list(dir_fd, &names);
    for (size_t i = 0; r == 0 && names && names[i]; i++) {
        char text[NAME_MAX + 16];

        (void)snprintf(text, sizeof(text), "%s:%s", directory, names[i]);
        if (tfind(text, &kept->blobs, compare))
            continue;
        r = file_delete_tree_at(dir_fd, names[i]);
        *ret_count += r == 0;
    }
    return r;
}

/* What happens under the store's lock; the names below staging/ in `gone` are nobody's then. */
static int collect(const ImagePlace *place, char *const *layers_in_use, unsigned int wait_ms,
                   char ***gone, GarbageCount *count, Failure *why)
{
    AUTO_CLOSE int write_fd = image_place_lock(place, PLACE_LOCK_WRITE, wait_ms);
    CLEANUP(image_names_cleanup) char **files = NULL;
    CLEANUP(kept_done) Kept kept = {0};
    int r;

    if (write_fd < 0)
        return failure_set(why, FAILURE_UNAVAILABLE, -write_fd, "the image store is in use");
    r = image_names_list(place->records_fd, &files);
    for (size_t i = 0; r == 0 && files && files[i]; i++) {
        r = keep_image(place, files[i], &kept, why);
        if (r < 0)
            return r;
    }
    if (r < 0 || (r = keep_used(layers_in_use, &kept)) < 0 ||
        (r = sort_staging(place, &kept, gone)) < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot collect garbage");
    count->staging = text_list_count(*gone);
    if ((r = sweep_layers(place, &kept, gone, &count->layers)) < 0 ||
        (r = sweep_blobs(place, DIGEST_SHA256, &kept, &count->blobs)) < 0 ||
        (r = sweep_blobs(place, DIGEST_SHA512, &kept, &count->blobs)) < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot collect garbage");
    return 0;
}

/* Several may be about it: who has a directory's lock deletes it. */
static int delete_all(const ImagePlace *place, char *const *gone, Failure *why)
{
    int result = 0;

    for (; gone && *gone; gone++) {
        AUTO_CLOSE int fd =
            openat(place->staging_fd, *gone, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int r;

        if (fd < 0 && errno == ENOENT)
            continue;
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0)
            continue;
        r = file_delete_tree_at(place->staging_fd, *gone);
        if (r < 0 && result == 0)
            result = failure_set(why, FAILURE_INTERNAL, -r, "cannot delete %s/staging/%s",
                                 place->path, *gone);
    }
    return result;
}

int image_garbage_collect(const ImagePlace *place, int *sweep_fd, char *const *layers_in_use,
                          unsigned int wait_ms, GarbageCount *ret, Failure *why)
{
    CLEANUP(text_list_cleanup) char **gone = NULL;
    GarbageCount count = {0};
    int r = collect(place, layers_in_use, wait_ms, &gone, &count, why), deleted;

    fd_close(sweep_fd);
    (void)partial_sweep(place, 0);
    deleted = delete_all(place, gone, r < 0 ? NULL : why);
    if (r < 0 || deleted < 0)
        return r < 0 ? r : deleted;
    *ret = count;
    return 0;
}

int image_garbage_sweep(const ImagePlace *place, Failure *why)
{
    CLEANUP(text_list_cleanup) char **gone = NULL;
    CLEANUP(kept_done) Kept kept = {0};
    AUTO_CLOSE int write_fd = image_place_lock(place, PLACE_LOCK_WRITE, SWEEP_WAIT_MS);
    int r = write_fd < 0 ? write_fd : sort_staging(place, &kept, &gone);

    if (r < 0)
        return failure_set(why, FAILURE_UNAVAILABLE, -r, "cannot sweep the image store");
    fd_close(&write_fd);
    (void)partial_sweep(place, PARTIAL_AGE_MOST);
    return delete_all(place, gone, why);
}
