/* SPDX-License-Identifier: Apache-2.0 */
/* podmonctl check: is the image store what it says it is? */
#include "dispatcher/image/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatcher/ctl/command.h"
#include "dispatcher/ctl/pods.h"
#include "shared/cleanup.h"
#include "shared/text.h"

static void store_cleanup(ImageStore **store)
{
    image_store_free(*store);
}

/* Appends the image's id to the list that `data` is. */
static void report(void *data, const char *id, const char *name, const char *problem)
{
    printf("%s%s%s: %s\n", id, *name ? " " : "", name, problem);
    (void)text_list_add(data, id);
}

/* The blobs go with the images: a pull brings them again, whole. Of layers that containers stand on
 * only the image goes. */
static int remove_all(const Command *command, ImageStore *store, char *const *ids, Failure *why)
{
    AUTO_CLOSE int sweep_fd = image_store_hold_sweep(store);
    CLEANUP(text_list_cleanup) char **layers = NULL;
    int r = pods_layers_in_use(command, &layers, why);

    for (; r == 0 && ids && *ids; ids++) {
        r = image_store_remove(store, *ids, sweep_fd, layers, why);
        if (r == 0)
            printf("removed %s\n", *ids);
    }
    return r;
}

int command_check(const Command *command, Failure *why)
{
    CLEANUP(store_cleanup) ImageStore *store = NULL;
    CLEANUP(text_list_cleanup) char **damaged = NULL;
    CheckCount count;
    int r;

    if (command->arguments[0])
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "check takes no arguments");
    if ((r = image_store_open(command->root_dir, &store, why)) < 0 ||
        (r = image_check(command->root_dir, store, report, &damaged, &count, why)) < 0)
        return r;
    printf("%zu images, %zu damaged; %zu blobs and %zu layers are whole\n", count.images,
           count.damaged, count.blobs, count.layers);
    if (count.damaged == 0)
        return 0;
    if (command->repair)
        return remove_all(command, store, damaged, why);
    return failure_say(why, FAILURE_FAILED_PRECONDITION,
                       "images are damaged; check --repair removes them, to be pulled again");
}
