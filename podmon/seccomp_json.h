/* SPDX-License-Identifier: Apache-2.0 */
/* A node's own profile of system calls, in the JSON of Docker and of the OCI's runtime
 * configuration: defaultAction, defaultErrnoRet, architectures or archMap, and syscalls with names,
 * action, errnoRet, args, and Docker's includes and excludes (caps, arches, minKernel). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "podmon/seccomp_profile.h"
#include "shared/failure.h"

enum { SECCOMP_JSON_MAX = 1024 * 1024 };

/* What includes and excludes ask about. */
typedef struct SeccompMachine {
    uint64_t capabilities; /* of the container, bit n: capability n */
    unsigned kernel_major, kernel_minor;
} SeccompMachine;

/* Pure. INVALID_ARGUMENT names the line of what is no JSON, and the entry of what is no profile
 * ("syscalls[3].args[0].op: …"). */
int seccomp_json_parse(const char *text, size_t size, const SeccompMachine *machine,
                       SeccompProfile *ret, Failure *why);
