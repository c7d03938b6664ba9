/* SPDX-License-Identifier: Apache-2.0 */
/* Pods with a user namespace of their own: whom an id of the pod's is on the host. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "podmon.pb-c.h"
#include "podmon/identity.h"
#include "shared/failure.h"

/* `namespaces` may be NULL: then, as in a pod on the host's user namespace, ids are what they are.
 */
bool userns_is_own(const Podmon__Namespaces *namespaces);

/* The host's number; one that is not mapped gives UINT32_MAX. */
uint32_t userns_host_uid(const Podmon__Namespaces *namespaces, uint32_t uid);
uint32_t userns_host_gid(const Podmon__Namespaces *namespaces, uint32_t gid);

/* INVALID_ARGUMENT for a user or group that the pod's namespace does not have. */
int userns_check_identity(const Podmon__Namespaces *namespaces, const Identity *identity,
                          Failure *why);

/* Writes the mappings of the namespace that the process has just been born in. 0 or −errno. */
int userns_write_mappings(const Podmon__Namespaces *namespaces, pid_t pid);
