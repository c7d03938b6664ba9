/* SPDX-License-Identifier: Apache-2.0 */
/* The default profile of AppArmor, brought into the kernel. Its text is part of the program, so
 * that containers are confined also where nothing is installed. */
#pragma once

#include "shared/failure.h"

/* Loads units/podmon-default.apparmor with apparmor_parser(8). Nothing to do, and 0, where AppArmor
 * is off or a profile of that name is loaded already: the administrator's counts. Waits at most a
 * minute. */
int apparmor_load_default(Failure *why);
