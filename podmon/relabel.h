/* SPDX-License-Identifier: Apache-2.0 */
/* Files get a label of SELinux. All but relabel_is_allowed is async-signal-safe. */
#pragma once

#include <stdbool.h>

/* `fd` may be O_PATH, and that of a link. An empty label, and a file system that knows none: 0. */
int relabel_file(int fd, const char *label);

/* A volume: the file or directory and everything in it, also what is mounted below. Links are
 * labelled and never followed; what vanishes meanwhile is passed over. −ELOOP below 128 levels. */
int relabel_tree(int fd, const char *label);

/* False for the directories that the host itself consists of (/, /etc, /usr, /var …): their labels
 * are what lets the host's own services work. */
bool relabel_is_allowed(int fd);
