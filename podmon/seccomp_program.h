/* SPDX-License-Identifier: Apache-2.0 */
/* A filter out of verdicts by number, for profiles whose calls are judged by at most one argument:
 * a search tree, made in well under a millisecond. libseccomp, which compiles any profile, takes
 * tens of them for the default one, and every pod would wait for it. */
#pragma once

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

enum { SECCOMP_CASES_MAX = 8 };

/* What a call's argument decides. Only its low half is looked at, as the kernel only looks at that
 * of the calls concerned. */
typedef struct SeccompCheck {
    unsigned argument;
    unsigned cases_count;
    struct {
        uint32_t mask, value; /* (argument & mask) == value */
        uint32_t result;
    } cases[SECCOMP_CASES_MAX]; /* the first that fits */
    uint32_t otherwise;
} SeccompCheck;

typedef struct SeccompVerdict {
    uint32_t number;
    uint32_t result;           /* SECCOMP_RET_…, without a check */
    const SeccompCheck *check; /* or NULL */
} SeccompVerdict;

/* One of the machine's kinds of system calls. */
typedef struct SeccompTable {
    uint32_t architecture; /* AUDIT_ARCH_… */
    SeccompVerdict *verdicts;
    size_t count;
} SeccompTable;

/* Sorts the tables' verdicts; of several for one number the first counts. Numbers that a table does
 * not have give `otherwise`; a call of another architecture kills the process. The instructions are
 * the caller's (free). −ENOMEM, −E2BIG. */
int seccomp_program(const SeccompTable *tables, size_t tables_count, uint32_t otherwise,
                    struct sock_filter **ret, size_t *ret_count);
