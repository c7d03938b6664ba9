/* SPDX-License-Identifier: Apache-2.0 */
/* A profile of system calls as data: what happens to each call, and to all others. Where it comes
 * from (podmon/seccomp_default, podmon/seccomp_json) and what becomes of it (podmon/seccomp) know
 * nothing of each other. */
#pragma once

#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>

enum { SECCOMP_ARGUMENTS_MAX = 6 };

typedef struct SeccompRule {
    const char *name; /* of the call; one that the machine does not have is passed over */
    uint32_t action;  /* SCMP_ACT_… */
    unsigned arguments_count;
    struct scmp_arg_cmp arguments[SECCOMP_ARGUMENTS_MAX]; /* all must be so */
} SeccompRule;

typedef struct SeccompProfile {
    uint32_t default_action;
    uint32_t *architectures; /* SCMP_ARCH_…, besides the machine's own */
    size_t architectures_count;
    SeccompRule *rules;
    size_t rules_count;
    void *names; /* what owns the rules' names, with how to free it; NULL: they are constants */
    void (*free_names)(void *names);
} SeccompProfile;

void seccomp_profile_done(SeccompProfile *profile);

/* Copies the rule, but not its name. −ENOMEM; −E2BIG after 65,536 of them. */
int seccomp_profile_add(SeccompProfile *profile, const SeccompRule *rule);

/* −ENOMEM; −E2BIG after 32. */
int seccomp_profile_add_architecture(SeccompProfile *profile, uint32_t architecture);
