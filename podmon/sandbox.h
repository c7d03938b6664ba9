/* SPDX-License-Identifier: Apache-2.0 */
/* What a pod's containers share: namespaces pinned in the pod's directory (so that they outlive
 * this podmon), /dev/shm, hostname, resolv.conf, hosts, sysctls, and where it was asked for a pid
 * namespace with a tiny init. */
#pragma once

#include <sys/types.h>

#include "podmon.pb-c.h"
#include "shared/failure.h"

/* −1: the host's. Owned by the sandbox. */
typedef struct Sandbox {
    int netns_fd;
    int ipcns_fd;
    int utsns_fd;
    int userns_fd;
    int pidns_fd;
    int init_pidfd;
    pid_t init_pid; /* 0: no pid namespace of the pod's own */
} Sandbox;

#define SANDBOX_EMPTY ((Sandbox){-1, -1, -1, -1, -1, -1, 0})

/* Makes all of it in `run_dir_fd` (the pod's directory; `run_path` is its absolute path): the
 * namespaces, loopback up, hostname, sysctls, shm mounted, the files hostname and resolv.conf.
 * `init_cgroup` (path, may be NULL) is where the init is born. On failure nothing is left. */
int sandbox_create(const Podmon__PodSpec *spec, int run_dir_fd, const char *run_path,
                   const char *init_cgroup, Sandbox *ret, Failure *why);

/* Writes `hosts`, once the addresses are known (may be empty). */
int sandbox_write_hosts(const Podmon__PodSpec *spec, int run_dir_fd, char *const *addresses,
                        Failure *why);

/* Opens the pins again. What is missing stays −1. `init`: as the record has it, may be NULL. */
int sandbox_restore(const Podmon__PodSpec *spec, int run_dir_fd,
                    const Podmon__ProcessIdentity *init, Sandbox *ret, Failure *why);

/* Unmounts the pins and shm, ends the init. Idempotent; also for a sandbox half made. */
int sandbox_destroy(Sandbox *sandbox, int run_dir_fd, Failure *why);

/* Closes the descriptors and leaves everything as it is. */
void sandbox_done(Sandbox *sandbox);
