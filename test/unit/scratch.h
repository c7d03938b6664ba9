/* SPDX-License-Identifier: Apache-2.0 */
/* A directory for one test case, deleted with all that is in it when its scope ends. */
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/file.h"

typedef struct Scratch {
    char path[64];
    int fd;
} Scratch;

static inline Scratch scratch_make(void)
{
    Scratch scratch = {.path = "/tmp/podmon-test-XXXXXX"};

    scratch.fd =
        mkdtemp(scratch.path) ? open(scratch.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (scratch.fd < 0) {
        perror("cannot make a scratch directory");
        exit(1);
    }
    return scratch;
}

static inline void scratch_done(Scratch *scratch)
{
    (void)close(scratch->fd);
    if (file_delete_tree_at(AT_FDCWD, scratch->path) < 0)
        (void)fprintf(stderr, "%s is left\n", scratch->path);
}

#define SCRATCH(name) CLEANUP(scratch_done) Scratch name = scratch_make()

/* Writes a file of the directory. */
static inline void scratch_write(const Scratch *scratch, const char *name, const char *text)
{
    int fd = openat(scratch->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || dprintf(fd, "%s", text) < 0) {
        perror(name);
        exit(1);
    }
    (void)close(fd);
}
