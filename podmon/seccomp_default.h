/* SPDX-License-Identifier: Apache-2.0 */
/* The default profile: a list of what containers may call, with the reason beside each call that
 * they may not. A call that a capability guards is allowed to who has it, as the kernel checks it
 * again. */
#pragma once

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

/* The filter for a container with these capabilities (bit n: capability n). The instructions are
 * the caller's (free). 0 or −errno. */
int seccomp_default(uint64_t capabilities, struct sock_filter **ret, size_t *ret_count);
