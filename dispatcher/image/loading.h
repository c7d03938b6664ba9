/* SPDX-License-Identifier: Apache-2.0 */
/* What the two readers of dispatcher/image/load share: a directory that images are read from, and
 * the commit they go to. */
#pragma once

#include "dispatcher/image/commit.h"

typedef struct Loading {
    int source_fd;
    const char *tag;     /* NULL: images keep their own names */
    ImageCommit *commit; /* owned, as `records` is; what that points at is the commit's */
    const Podmon__ImageRecord **records;
    size_t records_count;
} Loading;

/* A regular file of the source; links are followed inside it only. fd or −errno. */
int loading_open(const Loading *loading, const char *path);
int loading_read(const Loading *loading, const char *path, size_t limit, char **ret,
                 size_t *ret_size, Failure *why);

/* Adds the image of a manifest whose blobs are in the commit, under these names (as people write
 * them; NULL-terminated). `named`: the digest it is known by, its own or its index's. */
int loading_add(Loading *loading, const Digest *manifest, const Digest *named, char *const *names,
                Failure *why);

/* All images of an OCI layout (layout.c), of a docker-save archive (saved.c). */
int loading_add_layout(Loading *loading, Failure *why);
int loading_add_saved(Loading *loading, Failure *why);
