/* SPDX-License-Identifier: Apache-2.0 */
/* Are two layers' trees the same? Names, kinds, modes, owners, device numbers, hard links' counts,
 * link targets, attributes, every byte, and of all but directories the time of change. */
#pragma once

#include "shared/failure.h"

/* Directories, borrowed. 0: the same; −EBADMSG: `why` names the first file that differs and how;
 * −errno: they cannot be read. */
int tree_compare(int tree_fd, int other_fd, Failure *why);
