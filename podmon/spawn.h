/* SPDX-License-Identifier: Apache-2.0 */
/* From a finished plan to a process: everything that can be looked up, opened or computed is in the
 * SpawnPlan before clone3(2); stage 2, between clone3 and execve, only walks it. Stage 2 runs with
 * a copy of podmon's memory, not dumpable, is async-signal-safe, allocates nothing, and has closed
 * every descriptor that is not the program's when it executes. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "podmon.pb-c.h"
#include "podmon/cgroup.h"
#include "podmon/identity.h"
#include "podmon/sandbox.h"
#include "shared/failure.h"

typedef struct SpawnPlan SpawnPlan;

typedef struct SpawnStdio {
    int in, out, err; /* what becomes 0, 1, 2; stay the caller's. With a tty: ignored */
    int tty;          /* the pty's slave end, or −1; becomes the controlling terminal. For a
                         container's own tty pass −1 and ask for `make_tty`: see below */
    bool make_tty;    /* a pty out of the container's own devpts; its master comes back */
} SpawnStdio;

/* What it points to must outlive the plan. */
typedef struct SpawnContext {
    const Podmon__PodSpec *pod;
    const Sandbox *sandbox;
    const char *run_path; /* the pod's directory in RUN, absolute */
    int target_pidns_fd;  /* of another container (NAMESPACE_TARGET), or −1 */
    const CgroupEntry *cgroup;
    const char *cgroup_path;
} SpawnContext;

/* The first process of a container. `root_fd`: rootfs_mount's, stays the caller's; like the spec,
 * the identity and the descriptors of `stdio` it must outlive the plan. Such a plan starts once. */
int spawn_plan_container(const SpawnContext *context, const Podmon__ContainerSpec *spec,
                         const Identity *identity, int root_fd, const SpawnStdio *stdio,
                         SpawnPlan **ret, Failure *why);

typedef struct SpawnExec {
    char *const *argv; /* NULL-terminated */
    int target_pidfd;  /* the container's first process */
    pid_t target_pid;
    bool tty;
} SpawnExec;

/* One more process in a running container: its namespaces, cgroup, user, capabilities, the
 * container's environment and working directory. */
int spawn_plan_exec(const SpawnContext *context, const Podmon__ContainerSpec *spec,
                    const Identity *identity, const SpawnExec *exec, const SpawnStdio *stdio,
                    SpawnPlan **ret, Failure *why);

SpawnPlan *spawn_plan_free(SpawnPlan *plan);

typedef struct SpawnedProcess {
    pid_t pid; /* in podmon's pid namespace; podmon's child */
    int pidfd;
    int outcome_fd; /* readable: see spawn_read_outcome */
    int tty_fd;     /* the master, with make_tty; else −1 */
} SpawnedProcess;

/* clone3. Returns at once; the process is on its way through stage 2. Everything in *ret is the
 * caller's. */
int spawn_start(const SpawnPlan *plan, SpawnedProcess *ret, Failure *why);

/* When outcome_fd is readable: 1: the program is running (execve succeeded); 0: not yet; < 0: it
 * did not start and `why` says at which step, as a user would want to read it ("exec: \"/bin/x\":
 * no such file or directory"). The process of a failed start ends by itself and must be reaped. */
int spawn_read_outcome(SpawnedProcess *process, Failure *why);
