/* SPDX-License-Identifier: Apache-2.0 */
/* AppArmor as this kernel has it: whether it is on, and which profiles are loaded. */
#pragma once

#include <stdbool.h>

/* What containers get that ask for nothing else: units/podmon-default.apparmor. */
#define APPARMOR_DEFAULT "podmon-default"

bool apparmor_is_on(void);

/* Whether a profile of exactly this name is loaded. */
bool apparmor_has(const char *profile);
