/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cri/seccomp_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/file.h"

#define FIELD "config.linux.security_context.seccomp.localhost_ref"

enum { PROFILE_MAX = 1024 * 1024 };

int seccomp_file_read(Arena *arena, Podmon__SecurityPlan *security, Failure *why)
{
    const char *path = security->seccomp_profile_path;
    AUTO_FREE char *text = NULL;
    size_t size = 0;
    int r;

    if (security->seccomp != PODMON__PROFILE_KIND__PROFILE_LOCALHOST)
        return 0;
    r = file_read_at(AT_FDCWD, path, PROFILE_MAX, &text, &size);
    if (r == -ENOENT || r == -ENOTDIR)
        return failure_say(why, FAILURE_FAILED_PRECONDITION,
                           FIELD ": \"%.300s\": there is no such file on this node", path);
    if (r < 0)
        return failure_set(why, FAILURE_INVALID_ARGUMENT, -r,
                           FIELD ": \"%.300s\": is no file of at most 1 MiB that can be read",
                           path);
    security->seccomp_profile.data = arena_alloc(arena, size + 1);
    security->seccomp_profile.len = size;
    memcpy(security->seccomp_profile.data, text, size);
    return 0;
}
