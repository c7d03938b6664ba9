/* SPDX-License-Identifier: Apache-2.0 */
/* Input: the user string, a NUL, /etc/passwd, a NUL, /etc/group. */
#include <stdlib.h>
#include <string.h>

#include "podmon/identity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *part(const char **cursor, const char *end)
{
    size_t length = strnlen(*cursor, (size_t)(end - *cursor));
    char *copy = strndup(*cursor, length);

    *cursor += length + (*cursor + length < end);
    return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *cursor = (const char *)data, *end = cursor + size;
    char *user = part(&cursor, end), *passwd = part(&cursor, end), *group = part(&cursor, end);
    Podmon__UserPlan plan = PODMON__USER_PLAN__INIT;
    Identity identity;
    Failure why;

    plan.user = user;
    if (user && identity_resolve(&plan, passwd, group, &identity, &why) >= 0) {
        if (identity.uid > INT32_MAX || identity.gid > INT32_MAX || identity.groups_count == 0 ||
            identity.groups_count > IDENTITY_GROUPS_MAX || identity.home[0] != '/' ||
            strpbrk(identity.home, "\n:"))
            abort();
    }
    free(user);
    free(passwd);
    free(group);
    return 0;
}
