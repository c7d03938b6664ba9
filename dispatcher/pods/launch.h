/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing a podmon into being: the pod's directory with its first record, the lock, the listening
 * control socket, the process. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "podmon.pb-c.h"
#include "shared/failure.h"

typedef struct LaunchPaths {
    const char *podmon; /* the binary */
    const char *run_dir;
    const char *root_dir;
} LaunchPaths;

/* Makes RUN/pods/<id> whole (temporary directory, rename) with a record in phase STARTING. The pod
 * is listed from now on (as not ready), and whoever finds it can carry on. */
int launch_create(const LaunchPaths *paths, const Podmon__PodSpec *spec, Failure *why);

/* Processes that a new podmon may be too late to open: the first of containers, which may have
 * ended since. Their pidfds know how. */
typedef struct LaunchKept {
    pid_t pid;
    int pidfd;
} LaunchKept;

/* Makes sure that a podmon serves this pod: nothing to do if the lock is held; else takes the lock,
 * opens a fresh control socket and starts one that inherits both. For a pod known only from ROOT
 * (an earlier boot) the run directory is made again first. *ret_pidfd: the new podmon, a child of
 * the caller's, who closes the descriptor and reaps; −1: one was there. −ENOENT: no such pod. At
 * most LAYOUT_KEPT_MAX of `kept` are handed on. */
int launch_ensure(const LaunchPaths *paths, const char *pod_id, const LaunchKept *kept,
                  size_t kept_count, int *ret_pidfd, Failure *why);

/* Starts `podmon collect` (podmon/collect.h) on the network configuration in `conf_dir` with
 * plugins of `bin_dirs` (NULL-terminated), each of which gets `timeout_ms`. A child of the
 * caller's, who reaps it by *ret_pidfd. */
int launch_collect(const LaunchPaths *paths, const char *conf_dir, char *const *bin_dirs,
                   uint32_t timeout_ms, int *ret_pidfd, Failure *why);

/* Deletes what a dispatcher that died in launch_create has left. */
void launch_sweep(const LaunchPaths *paths);
