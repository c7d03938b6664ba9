/* SPDX-License-Identifier: Apache-2.0 */
/* Whether this process sees less than its mount namespace holds. */
#pragma once

/* 1: the root directory is not the root of the mount namespace (chroot(2)); 0: it is; or −errno.
 * In a chroot pivot_root(2) leaves the namespace's own root in place, and setns(2), with which a
 * command enters a container, goes there: it would run on the host. To be called before there are
 * threads; briefly changes the caller's root and working directory. */
int chroot_detect(void);
