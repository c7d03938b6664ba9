/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of names: those in a directory, and those in an image's record. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The entries of a directory but "." and "..", a NULL-terminated list (shared/text.h). */
int image_names_list(int dir_fd, char ***ret);
void image_names_cleanup(char ***names);

bool image_names_have(size_t count, char *const *names, const char *name);

/* Sets of strings as protobuf-c has them. Adding leaves out what is there already; on failure
 * (−ENOMEM) the set is valid. `more`: NULL-terminated, or NULL. */
int image_names_add(size_t *count, char ***names, char *const *more);
int image_names_merge(size_t *count, char ***names, size_t more_count, char *const *more);

/* Takes out of `names` whatever is in `gone`; how many that were. */
size_t image_names_remove(size_t *count, char **names, size_t gone_count, char *const *gone);
