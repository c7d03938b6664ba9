/* SPDX-License-Identifier: Apache-2.0 */
/* A container's mounts, prepared: all that can be opened or made outside the container exists as a
 * detached mount before the process is cloned; podmon/attach puts it in place. A plan that is
 * never carried out leaves nothing: detached mounts go with their descriptors. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "podmon.pb-c.h"
#include "podmon/labels.h"
#include "podmon/spawn.h"
#include "shared/failure.h"
#include "shared/path.h"

typedef struct MountStep {
    int fd;           /* a detached mount, or −1: see `type` */
    const char *type; /* made by the child itself, because its namespaces decide what it is */
    unsigned int attributes; /* MOUNT_ATTR_…, with `type` */
    char *target;            /* clean and absolute, in the container */
    PathKind target_kind;
    bool is_exact;        /* the target must be a directory that no link leads to */
    bool has_console;     /* the tty is bound to /dev/console after this step */
    const char *sub_path; /* only this part of the mount, or NULL */
    int relabel_fd;       /* of the host's tree that gets the container's label, or −1 */
} MountStep;

typedef struct MountPlan {
    MountStep *steps;
    size_t steps_count;
    char *const *masked_paths;
    size_t masked_count;
    char *const *read_only_paths;
    size_t read_only_count;
    int null_fd;        /* detached /dev/null of the host, for masking files */
    int empty_fd;       /* detached empty directory */
    char **directories; /* NULL-terminated: made in the root where they are missing */
    bool read_only_root;
    char file_label[LABELS_SIZE]; /* of SELinux, for files and file systems; empty: none */
    const char *place; /* a directory of the host's; the root is attached there, unseen */
    uint32_t owner_uid, owner_gid; /* of what is made in the container: its root, on the host */
    int tty_master;                /* of the container's own devpts, or −1 */
    int tty_slave;
} MountPlan;

#define MOUNT_PLAN_EMPTY                                                                           \
    ((MountPlan){.null_fd = -1, .empty_fd = -1, .tty_master = -1, .tty_slave = -1})

/* The context and the spec must outlive the plan. */
int mounts_prepare(const SpawnContext *context, const Podmon__ContainerSpec *spec, bool make_tty,
                   MountPlan *ret, Failure *why);
void mounts_done(MountPlan *plan);

/* An unlocked pty out of the devpts whose root or `ptmx` is at `name` below dir_fd; both ends
 * close-on-exec. Also for a devpts that a container may have tampered with. */
int mounts_open_pty(int dir_fd, const char *name, int *ret_master, int *ret_slave);
