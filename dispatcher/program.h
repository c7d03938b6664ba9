/* SPDX-License-Identifier: Apache-2.0 */
/* Where the other program of this installation is. */
#pragma once

#include "dispatcher/config.h"
#include "shared/failure.h"

/* The podmon that the settings name, else the one beside the running program: a build tree has the
 * two in podmon/ and dispatcher/, an installation has podmon in libexec. The caller frees *ret.
 * FAILED_PRECONDITION: there is none. */
int program_find_podmon(const Config *config, char **ret, Failure *why);
