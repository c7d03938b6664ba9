/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cri/kernel.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/utsname.h>

#include "shared/cleanup.h"
#include "shared/file.h"

static bool is_at_least(unsigned long major, unsigned long minor)
{
    struct utsname names;
    unsigned long own_major, own_minor;
    char *rest;

    if (uname(&names) < 0)
        return false;
    own_major = strtoul(names.release, &rest, 10);
    own_minor = *rest == '.' ? strtoul(rest + 1, NULL, 10) : 0;
    return own_major > major || (own_major == major && own_minor >= minor);
}

bool kernel_has_user_namespaces(void)
{
    AUTO_FREE char *most = NULL;

    return is_at_least(5, 19) &&
           file_read_virtual_at(AT_FDCWD, "/proc/sys/user/max_user_namespaces", 32, &most, NULL) >=
               0 &&
           strtoul(most, NULL, 10) > 0;
}
