/* SPDX-License-Identifier: Apache-2.0 */
/* A container's root: overlayfs over the image's layers, made by the mount API as a detached mount
 * that nobody sees and that vanishes with its last descriptor. */
#pragma once

#include "podmon.pb-c.h"
#include "shared/failure.h"

/* `userns_fd`: a user namespace that the layers' owners are seen through (id-mapped mounts, overlay
 * Linux 5.19), or −1; the owner of `upper` is the caller's business. `layers` lowest first; `upper`
 * and `work` are absolute paths of existing directories on one file system that takes an overlay's
 * upper (NULL both: read-only). Returns the mount's descriptor in *ret_fd. fsopen/fsmount with
 * lowerdir+ (Linux 6.5); below that mount(2) in a throw-away mount namespace. */
int rootfs_mount(char *const *layers, size_t layers_count, const char *upper, const char *work,
                 int userns_fd, const char *label, int *ret_fd, Failure *why);
