/* SPDX-License-Identifier: Apache-2.0 */
/* What podmonctl knows of pods: their state files. */
#pragma once

#include "dispatcher/ctl/command.h"

/* The layers of all containers there are and of the images they mount: paths, NULL-terminated
 * (shared/text.h); NULL: none. */
int pods_layers_in_use(const Command *command, char ***ret, Failure *why);
