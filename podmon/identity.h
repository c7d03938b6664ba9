/* SPDX-License-Identifier: Apache-2.0 */
/* Who a container's process is: a user by name or number out of the image's own /etc/passwd and
 * /etc/group. The files are the image's, so hostile: at most 1 MiB, 65,536 lines of 4 KiB. */
#pragma once

#include <stdint.h>

#include "podmon.pb-c.h"
#include "shared/failure.h"

enum { IDENTITY_GROUPS_MAX = 1024 };

typedef struct Identity {
    uint32_t uid;
    uint32_t gid;
    uint32_t groups[IDENTITY_GROUPS_MAX]; /* supplementary, the primary one included, no repeats */
    uint32_t groups_count;
    char home[1024]; /* "/" if the image does not say */
} Identity;

/* Pure. `passwd`, `group`: the files' text, NULL if there are none. Numbers are decimal, 0 to
 * 2³¹ − 1. INVALID_ARGUMENT names the user or group that is not there. */
int identity_resolve(const Podmon__UserPlan *plan, const char *passwd, const char *group,
                     Identity *ret, Failure *why);

/* Reads both files below root_fd (a container's root), and resolves. */
int identity_read(const Podmon__UserPlan *plan, int root_fd, Identity *ret, Failure *why);
