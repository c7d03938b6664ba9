/* SPDX-License-Identifier: Apache-2.0 */
/* Stage 2: what the cloned process does until it executes the program. It only walks a plan, in a
 * copy of podmon's memory: async-signal-safe, nothing allocated, nothing looked up outside the
 * container after its root is in place. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "podmon/capabilities.h"
#include "podmon/cgroup.h"
#include "podmon/identity.h"
#include "podmon/lsm.h"
#include "podmon/mounts.h"
#include "podmon/seccomp.h"

typedef enum StageStep {
    STAGE_CGROUP,
    STAGE_PREPARE,
    STAGE_OOM_SCORE,
    STAGE_LABEL,
    STAGE_KEYRING,
    STAGE_NAMESPACES,
    STAGE_MOUNTS,
    STAGE_DIRECTORY,
    STAGE_STDIO,
    STAGE_TERMINAL,
    STAGE_SECCOMP,
    STAGE_IDENTITY,
    STAGE_EXECUTE,
    STAGE_STEPS,
} StageStep;

enum { STAGE_TEXT_MAX = 512 };

/* One write on the outcome pipe, by a process that ends then. After a successful execve the pipe
 * just closes. */
typedef struct StageReport {
    int32_t step;
    int32_t error;
    char text[STAGE_TEXT_MAX]; /* the path concerned, cut */
} StageReport;

typedef struct StagePlan {
    const int *kept; /* descriptors that stage 2 needs, ascending; all others are closed first */
    size_t kept_count;
    const CgroupEntry *cgroup;
    int target_pidfd;                 /* of an exec: whose namespaces are joined; else −1 */
    int netns_fd, ipcns_fd, utsns_fd; /* −1: stays where it is */
    int userns_fd;                    /* joined last of all, or −1 */
    const MountPlan *mounts;          /* NULL for an exec */
    int root_fd;
    const char *directory; /* working directory */
    char oom_score_adj[8]; /* empty: as podmon's */
    LsmPlan lsm;
    int stdio[3];
    uint32_t stdio_uid; /* the program's user, as the host counts */
    int tty_fd;         /* becomes 0, 1, 2 and the controlling terminal; or −1 */
    CapabilitySets capabilities;
    const Identity *identity;
    bool no_new_privileges;
    SeccompFilter seccomp;
    char *const *programs; /* tried in this order; NULL-terminated */
    char *const *argv;
    char *const *env;
} StagePlan;

/* The first half, for which it does not matter in whose pid namespace the process is: closes what
 * is not needed, podmon's own stdin, stdout and stderr among it, enters the cgroups, hides. A
 * failure is reported, and ends the process. */
void stage_prepare(const StagePlan *plan, int outcome_fd);

/* The rest. */
_Noreturn void stage_run(const StagePlan *plan, int outcome_fd);
