/* SPDX-License-Identifier: Apache-2.0 */
/* Which pods there are, and how each of them is looked after: what decides whether something that
 * bears a pod's id is the pod's or was left behind. */
#pragma once

#include <stddef.h>

#include "shared/failure.h"
#include "shared/id.h"

typedef enum OwnerState {
    OWNER_NONE,    /* no pod of this id */
    OWNER_BROKEN,  /* a directory whose record cannot be read, nor its copy; no podmon */
    OWNER_ENDED,   /* stopped, or of an earlier boot; no podmon, and no need of one */
    OWNER_WAITING, /* a podmon should look after it, and none does */
    OWNER_LIVES,   /* a podmon looks after it: one of ours, or one of other directories */
} OwnerState;

typedef struct Owner {
    char id[ID_SIZE];
    OwnerState state;
    char *name; /* "namespace/name"; NULL: not known */
} Owner;

typedef struct Owners {
    Owner *items;
    size_t count;
    char **parents; /* cgroups that pods are put into, below the hierarchies' roots; text list */
} Owners;

/* Reads records, locks and the processes there are. `slice`: where pods go that name no parent. */
int owners_read(const char *run_dir, const char *root_dir, const char *slice, Owners *ret,
                Failure *why);
void owners_done(Owners *owners);

/* The state of the pod that has this id, or whose id begins so. */
OwnerState owners_find(const Owners *owners, const char *prefix);
