/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel settings of a pod: only those that belong to a namespace the pod has for itself. */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "podmon.pb-c.h"
#include "shared/failure.h"

/* Pure. Checks a key ("net.ipv4.ip_forward", or with slashes as sysctl(8) takes them) and a value
 * (at most 4 KiB, no control byte), and writes the file's path below /proc/sys to `ret`, PATH_MAX
 * bytes. INVALID_ARGUMENT names the key: not in the list of net.*, kernel.shm*, kernel.msg*,
 * kernel.sem and fs.mqueue.*, or its namespace is the host's. */
int sysctl_check(const Podmon__Pair *setting, const Podmon__Namespaces *namespaces, char *ret,
                 Failure *why);

/* Writes all of them, in the namespaces of the calling process. They must have been checked. */
int sysctl_write(Podmon__Pair *const *settings, size_t count, const Podmon__Namespaces *namespaces,
                 Failure *why);
