/* SPDX-License-Identifier: Apache-2.0 */
/* The filter of system calls: a profile compiled before the clone, and only loaded in stage 2. The
 * default profile is podmon/seccomp_default's, a node's own one podmon/seccomp_json's. */
#pragma once

#include <stdint.h>

#include "podmon.pb-c.h"
#include "shared/failure.h"

typedef struct SeccompFilter {
    void *instructions; /* struct sock_filter[], malloc'ed; NULL: no filter */
    uint16_t count;
} SeccompFilter;

/* `capabilities`: what the container really has; profiles allow a call that a capability guards to
 * who has it. INVALID_ARGUMENT says what is wrong with a node's own profile. */
int seccomp_prepare(const Podmon__SecurityPlan *security, uint64_t capabilities, SeccompFilter *ret,
                    Failure *why);
void seccomp_done(SeccompFilter *filter);

/* For stage 2; needs no_new_privs or CAP_SYS_ADMIN. 0 or −errno. */
int seccomp_apply(const SeccompFilter *filter);
