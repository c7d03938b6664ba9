/* SPDX-License-Identifier: Apache-2.0 */
/* What a container's process may do, and the one place where podmon's children change who they
 * are: the same for a container's first process and for every exec. */
#pragma once

#include <stdint.h>

#include "podmon.pb-c.h"
#include "podmon/identity.h"

/* Bit n is capability n. The inheritable set is the ambient one: nothing is inherited through an
 * execve that was not asked for. */
typedef struct CapabilitySets {
    uint64_t bounding; /* permitted and effective as well */
    uint64_t ambient;
    int last; /* the kernel's highest capability */
} CapabilitySets;

/* The calling process's permitted set. 0 or −errno. */
int capabilities_read_own(uint64_t *ret);

/* What was asked for, as far as podmon has it itself. */
CapabilitySets capabilities_plan(const Podmon__SecurityPlan *security, uint64_t own);

/* For stage 2. Bounding set, groups, group, user, then the other sets, in this order, each checked;
 * 0 or −errno. */
int capabilities_become(const CapabilitySets *sets, const Identity *identity);
