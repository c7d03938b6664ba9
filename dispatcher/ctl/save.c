/* SPDX-License-Identifier: Apache-2.0 */
/* podmonctl save: an image into a file, or to standard output. */
#include "dispatcher/image/save.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dispatcher/ctl/command.h"
#include "shared/cleanup.h"

static void store_cleanup(ImageStore **store)
{
    image_store_free(*store);
}

/* The file has its name once it is whole. */
static int save_file(const Command *command, ImageStore *store, const char *name, const char *path,
                     Failure *why)
{
    AUTO_FREE char *temporary = NULL;
    AUTO_CLOSE int fd = -1;
    int r;

    if (asprintf(&temporary, "%s.XXXXXX", path) < 0) {
        temporary = NULL;
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot write %.300s", path);
    }
    fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot write %.300s", path);
    r = image_save(command->root_dir, store, name, fd, why);
    if (r == 0 && (fsync(fd) < 0 || rename(temporary, path) < 0))
        r = failure_set(why, FAILURE_INTERNAL, errno, "cannot write %.300s", path);
    if (r < 0)
        (void)unlink(temporary);
    return r;
}

int command_save(const Command *command, Failure *why)
{
    CLEANUP(store_cleanup) ImageStore *store = NULL;
    const char *name = command->arguments[0], *path = name ? command->arguments[1] : NULL;
    int r;

    if (!name || (path && command->arguments[2]))
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "save takes an image and a file");
    if (!path && isatty(STDOUT_FILENO) == 1)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "save does not write to a terminal; name a file");
    (void)signal(SIGPIPE, SIG_IGN);
    r = image_store_open(command->root_dir, &store, why);
    if (r < 0)
        return r;
    return path ? save_file(command, store, name, path, why)
                : image_save(command->root_dir, store, name, STDOUT_FILENO, why);
}
