/* SPDX-License-Identifier: Apache-2.0 */
/* The filter of system calls, compiled before the clone and only loaded in stage 2. The default
 * profile is a list of what is refused: calls that reach beyond the container or into rarely
 * tested parts of the kernel, each with its reason beside it in seccomp.c. */
#pragma once

#include <stdint.h>

#include "podmon.pb-c.h"
#include "shared/failure.h"

typedef struct SeccompFilter {
    void *instructions; /* struct sock_filter[], malloc'ed; NULL: no filter */
    uint16_t count;
} SeccompFilter;

/* `capabilities`: what the container really has: a call that a capability guards is not refused to
 * who has it. PROFILE_LOCALHOST is UNIMPLEMENTED. */
int seccomp_prepare(const Podmon__SecurityPlan *security, uint64_t capabilities, SeccompFilter *ret,
                    Failure *why);
void seccomp_done(SeccompFilter *filter);

/* For stage 2; needs no_new_privs or CAP_SYS_ADMIN. 0 or −errno. */
int seccomp_apply(const SeccompFilter *filter);
