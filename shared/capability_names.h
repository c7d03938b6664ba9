/* SPDX-License-Identifier: Apache-2.0 */
/* Capabilities by name, as capabilities(7) has them. */
#pragma once

#include <stdint.h>

/* With or without "CAP_", in either case. Returns the capability's number, or −ENOENT. */
int capability_names_find(const char *name);

/* "CAP_CHOWN", or NULL for a number without a name. */
const char *capability_names_get(int number);

/* A bit for each capability that has a name here. */
uint64_t capability_names_all(void);

/* What a container has when nobody asks for more or less: the fourteen of containerd and Docker. */
uint64_t capability_names_default(void);
