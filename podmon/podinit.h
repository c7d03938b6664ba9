/* SPDX-License-Identifier: Apache-2.0 */
/* The process that holds a pod's own pid namespace: podmon/init.c, executed from a sealed memfd,
 * with no privilege, no file and no descriptor of anybody's. */
#pragma once

#include "podmon/sandbox.h"

/* Fills pidns_fd, init_pidfd and init_pid. `cgroup` may be NULL. Under SELinux it has the labels of
 * the pod. */
int podinit_start(const Podmon__PodSpec *spec, Sandbox *sandbox, const char *run_path,
                  const char *cgroup, Failure *why);

/* Finds the one of the record again; one that is gone is no failure, and leaves the sandbox as it
 * was. 0 or −errno. */
int podinit_find(Sandbox *sandbox, const Podmon__ProcessIdentity *init);

/* Ends it, and with it everything in its namespace. */
void podinit_stop(Sandbox *sandbox);
