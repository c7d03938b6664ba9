/* SPDX-License-Identifier: Apache-2.0 */
/* What this node's kernel lets the runtime promise. */
#pragma once

#include <stdbool.h>

/* Pods with a user namespace of their own: the kernel has them, they are not switched off, and it
 * can map the owners of an overlay's layers (Linux 5.19). */
bool kernel_has_user_namespaces(void);
