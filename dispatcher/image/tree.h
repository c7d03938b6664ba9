/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the entries of one layer archive below a directory, in the form the kernel's overlay
 * reads. The archive is hostile: its names are split here, parents are resolved with the layer as
 * root (openat2), the last component is never followed, and everything is done by descriptor. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "shared/failure.h"

/* What only a more privileged process can do, asked for by descriptor of a directory in the tree.
 * NULL functions: the wish is dropped. 0 or −errno. */
typedef struct TreeHelper {
    void *context;
    /* Marks a directory as hiding the lower layers' (trusted.overlay.opaque). */
    int (*make_opaque)(void *context, int dir_fd);
    /* The archive has no entry for this directory ("" is the root): gives it the mode, owner and
     * times that it has in the layers below, if it is there. */
    int (*adopt)(void *context, int dir_fd, const char *path);
} TreeHelper;

typedef struct TreeAttribute {
    const char *name;
    const void *value;
    size_t size;
} TreeAttribute;

/* What an entry of an archive says about itself; borrowed for the call. */
typedef struct TreeEntry {
    const char *path;
    const char *link; /* target of a symbolic or a hard link */
    mode_t mode;      /* type and permissions; type 0 with a hard link */
    int64_t uid, gid;
    uint64_t size;
    dev_t device;
    struct timespec times[2]; /* accessed, modified */
    const TreeAttribute *attributes;
    size_t attributes_count;
} TreeEntry;

typedef struct Tree Tree;

/* `root_fd` stays the caller's and open as long as the tree. */
int tree_new(int root_fd, const TreeHelper *helper, Tree **ret);
Tree *tree_free(Tree *tree);

/* Makes the entry, replacing what is there under its name. *ret_fd is the file to write into, for
 * a regular file, and −1 for all else. After its data is written the caller calls tree_finish_file
 * with the same entry and how far it has written, which closes it. */
int tree_add(Tree *tree, const TreeEntry *entry, int *ret_fd, Failure *why);
int tree_finish_file(const TreeEntry *entry, int fd, uint64_t written, Failure *why);

/* Sets the directories' times, which every entry made in them has changed, and the root as the
 * layers below have it unless the archive said how it is to be. */
int tree_finish(Tree *tree, Failure *why);

static inline void tree_cleanup(Tree **tree)
{
    tree_free(*tree);
}
