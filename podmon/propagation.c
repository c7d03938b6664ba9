/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/propagation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shared/cleanup.h"
#include "shared/file.h"

enum { TABLE_MAX = 16 * 1024 * 1024 };

/* Each line begins with the number of its mount. */
static const char *find_line(const char *table, unsigned long long id)
{
    for (const char *line = table; *line;) {
        if (strtoull(line, NULL, 10) == id)
            return line;
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    return NULL;
}

/* Optional fields end at " - "; a path before them has its blanks written as \\040. */
static bool line_has(const char *line, const char *field)
{
    const char *end = strstr(line, " - ");
    const char *found = strstr(line, field);

    return end && found && found < end;
}

int propagation_check(const char *path, Podmon__MountPropagation propagation, Failure *why)
{
    AUTO_FREE char *table = NULL;
    struct statx status;
    const char *line;
    int r;

    if (propagation == PODMON__MOUNT_PROPAGATION__PROPAGATION_PRIVATE)
        return 0;
    if (statx(AT_FDCWD, path, 0, STATX_MNT_ID, &status) < 0)
        return failure_set(why, FAILURE_INVALID_ARGUMENT, errno, "cannot look at host path \"%s\"",
                           path);
    r = file_read_virtual_at(AT_FDCWD, "/proc/self/mountinfo", TABLE_MAX, &table, NULL);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot read the table of mounts");
    line = find_line(table, status.stx_mnt_id);
    if (line && (line_has(line, " shared:") ||
                 (propagation == PODMON__MOUNT_PROPAGATION__PROPAGATION_HOST_TO_CONTAINER &&
                  line_has(line, " master:"))))
        return 0;
    return failure_say(why, FAILURE_FAILED_PRECONDITION,
                       "host path \"%s\" is not on a %s mount, so mounts cannot propagate", path,
                       propagation == PODMON__MOUNT_PROPAGATION__PROPAGATION_BIDIRECTIONAL
                           ? "shared"
                           : "shared or slave");
}
