/* SPDX-License-Identifier: Apache-2.0 */
/* SELinux as this kernel has it: selinuxfs at /sys/fs/selinux. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* A policy is loaded; whether it is enforced is the administrator's business. */
bool selinux_is_on(void);

/* Whether the loaded policy knows the label ("user:role:type:level"); then it is replaced by how
 * the kernel spells it, which has the real names of types for their aliases. */
bool selinux_spell(char *label, size_t size);
