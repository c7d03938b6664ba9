/* SPDX-License-Identifier: Apache-2.0 */
/* Names of what lies in the two directories of the system, and the lock that says who lives.
 *
 *   RUN/pods/<pod id>/   (tmpfs, 0700)  state control lock netns ipcns utsns userns shm/
 *                                       resolv.conf hostname hosts, samples/pod,
 *                                       per container a directory
 *                                       <container id>/ with stdout stderr stdin (FIFOs)
 *   RUN/network.lock      plugins that add (shared) and that collect garbage (exclusive)
 *   ROOT/pods/<pod id>/                 state (copy of the record, outlives a reboot),
 *                                       per container <container id>/upper work
 *   ROOT/images/                        blobs/sha256 layers records staging
 */
#pragma once

#include <stdbool.h>

#define LAYOUT_PODS "pods"
#define LAYOUT_NETWORK_LOCK "network.lock"
#define LAYOUT_STATE "state"
#define LAYOUT_CONTROL "control"
#define LAYOUT_LOCK "lock"
#define LAYOUT_LEDGER "ledger"
#define LAYOUT_UNLOGGED "unlogged" /* in a container's directory */
#define LAYOUT_NETNS "netns"
#define LAYOUT_IPCNS "ipcns"
#define LAYOUT_UTSNS "utsns"
#define LAYOUT_USERNS "userns"
#define LAYOUT_SHM "shm"
/* In a directory of its own, so that who watches the pod's for changes of state is not woken. */
#define LAYOUT_SAMPLES "samples"
#define LAYOUT_SAMPLE "pod"
#define LAYOUT_RESOLV_CONF "resolv.conf"
#define LAYOUT_HOSTNAME "hostname"
#define LAYOUT_HOSTS "hosts"
#define LAYOUT_UPPER "upper"
#define LAYOUT_WORK "work"

/* Descriptors that podmon is started with. */
enum {
    LAYOUT_FD_CONTROL = 3, /* the listening control socket */
    LAYOUT_FD_LOCK = 4,    /* open on the lock file, and locked */
    LAYOUT_FD_KEPT = 5,    /* and on: pidfds of the processes that --kept names */
};

enum { LAYOUT_KEPT_MAX = 128 };

/* Opens the pod's lock file (making it) and takes the lock (F_OFD_SETLK, fcntl(2)): it belongs to
 * the open file, is inherited by the podmon that is started, and falls when the last holder is
 * gone, however it died. Returns the fd, −EBUSY: a podmon lives, or −errno. */
int layout_lock_pod(int pod_dir_fd);

/* 1: somebody holds the lock, 0: nobody, or −errno. */
int layout_pod_is_alive(int pod_dir_fd);

/* The kernel's boot id (/proc/sys/kernel/random/boot_id) without its newline; 36 characters. */
enum { LAYOUT_BOOT_ID_SIZE = 37 };
int layout_read_boot_id(char ret[LAYOUT_BOOT_ID_SIZE]);
