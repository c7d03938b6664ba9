/* SPDX-License-Identifier: Apache-2.0 */
/* podmonctl load, images, rmi, gc. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dispatcher/ctl/command.h"
#include "dispatcher/ctl/format.h"
#include "dispatcher/ctl/pods.h"
#include "dispatcher/image/garbage.h"
#include "dispatcher/image/load.h"
#include "dispatcher/image/store.h"
#include "shared/cleanup.h"
#include "shared/text.h"

enum { GARBAGE_WAIT_MS = 30 * 1000 };

static void store_cleanup(ImageStore **store)
{
    image_store_free(*store);
}

static void print_image(void *context, const Podmon__ImageRecord *record)
{
    char size[FORMAT_SIZE];

    (void)context;
    format_size(record->size, size);
    for (size_t i = 0; i < record->n_tags; i++)
        printf("%s %s %s\n", record->tags[i], record->id, size);
    if (record->n_tags == 0)
        printf("%s %s %s\n", record->n_digests ? record->digests[0] : "<none>", record->id, size);
}

int command_load(const Command *command, Failure *why)
{
    int r;

    if (!command->arguments[0] || command->arguments[1])
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "load takes one file or directory");
    r = image_load(command->root_dir, command->arguments[0], command->tag, print_image, NULL, why);
    return r < 0 ? r : 0;
}

static int add_image(Table *table, const Podmon__ImageRecord *record)
{
    char size[FORMAT_SIZE], age[FORMAT_SIZE];
    int r = 0;

    format_size(record->size, size);
    format_age(record->stored_at, age);
    for (size_t i = 0; r == 0 && i < record->n_tags; i++)
        r = table_add(table, (const char *[]){record->tags[i], record->id, size, age});
    if (record->n_tags == 0)
        r = table_add(table, (const char *[]){record->n_digests ? record->digests[0] : "<none>",
                                              record->id, size, age});
    return r;
}

int command_images(const Command *command, Failure *why)
{
    CLEANUP(store_cleanup) ImageStore *store = NULL;
    CLEANUP(table_done) Table table = {.columns = 4};
    int r = image_store_open(command->root_dir, &store, why);

    if (r < 0)
        return r;
    r = table_add(&table, (const char *[]){"NAME", "ID", "SIZE", "STORED"});
    for (size_t i = 0; r == 0 && i < image_store_count(store); i++)
        r = add_image(&table, image_store_get(store, i));
    for (char *const *id = image_store_damaged(store); r == 0 && id && *id; id++)
        r = table_add(&table, (const char *[]){"<damaged>", *id, "-", "-"});
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot list images");
    table_print(&table);
    return 0;
}

static int collect(const Command *command, GarbageCount *ret, Failure *why)
{
    CLEANUP(image_place_done) ImagePlace place = {-1, -1, -1, -1, -1, NULL};
    CLEANUP(text_list_cleanup) char **layers = NULL;
    AUTO_CLOSE int sweep_fd = -1;
    int r = image_place_open(command->root_dir, &place, why);

    if (r < 0)
        return r;
    sweep_fd = image_place_lock(&place, PLACE_LOCK_SWEEP, GARBAGE_WAIT_MS);
    if (sweep_fd < 0)
        return failure_set(why, FAILURE_UNAVAILABLE, -sweep_fd, "containers are being made");
    r = pods_layers_in_use(command, &layers, why);
    return r < 0 ? r : image_garbage_collect(&place, &sweep_fd, layers, GARBAGE_WAIT_MS, ret, why);
}

int command_gc(const Command *command, Failure *why)
{
    GarbageCount count;
    int r = collect(command, &count, why);

    if (r == 0)
        printf("removed %zu layers, %zu blobs, %zu unfinished imports\n", count.layers, count.blobs,
               count.staging);
    return r;
}

/* An image whose record cannot be read has no name but its id. */
static const char *find_damaged(const ImageStore *store, const char *name)
{
    const char *hex = text_starts_with(name, "sha256:") ? strchr(name, ':') + 1 : name;

    for (char *const *id = image_store_damaged(store); id && *id; id++)
        if (strcmp(*id, hex) == 0)
            return *id;
    return NULL;
}

static int remove_image(ImageStore *store, const char *name, int sweep_fd, char *const *layers,
                        Failure *why)
{
    const char *damaged = find_damaged(store, name);
    char id[DIGEST_TEXT_SIZE];
    const Podmon__ImageRecord *record;
    int r;

    if (damaged) {
        printf("<damaged> %s\n", damaged);
        (void)snprintf(id, sizeof(id), "sha256:%s", damaged);
        return image_store_remove(store, id, sweep_fd, layers, why);
    }
    r = image_store_find(store, name, &record);
    if (r == -EINVAL)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "\"%.300s\" is no image name", name);
    if (r < 0)
        return failure_say(why, FAILURE_NOT_FOUND, "there is no image \"%.300s\"", name);
    print_image(NULL, record);
    return image_store_remove(store, record->id, sweep_fd, layers, why);
}

int command_rmi(const Command *command, Failure *why)
{
    CLEANUP(store_cleanup) ImageStore *store = NULL;
    CLEANUP(text_list_cleanup) char **layers = NULL;
    AUTO_CLOSE int sweep_fd = -1;
    int r;

    if (!command->arguments[0])
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "rmi takes names of images");
    r = image_store_open(command->root_dir, &store, why);
    if (r < 0)
        return r;
    sweep_fd = image_store_hold_sweep(store);
    if ((r = pods_layers_in_use(command, &layers, why)) < 0)
        return r;
    for (char **name = command->arguments; *name; name++) {
        r = remove_image(store, *name, sweep_fd, layers, why);
        if (r < 0)
            return r;
        image_store_sync(store);
    }
    return 0;
}
