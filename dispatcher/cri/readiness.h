/* SPDX-License-Identifier: Apache-2.0 */
/* Can pods of this node have a network? A CNI configuration has to be there and be readable; that
 * it works, each pod finds out. */
#pragma once

#include <stdbool.h>

#include "shared/failure.h"

enum { READINESS_PATH_SIZE = 512 };

/* Looks at the first *.conflist, *.conf or *.json by name, as podmon does. 0 with its path, cut to
 * READINESS_PATH_SIZE, or `why` in words for the node's NetworkReady condition. */
int readiness_find_network(const char *conf_dir, char *ret_path, Failure *why);

/* Pure: is this text a configuration list, or (without `list`) a single plugin's configuration? */
int readiness_check_network(const char *text, bool list, Failure *why);
