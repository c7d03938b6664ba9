/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/program.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int copy(const char *path, char **ret, Failure *why)
{
    *ret = strdup(path);
    return *ret ? 0 : failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot keep \"%s\"", path);
}

int program_find_podmon(const Config *config, char **ret, Failure *why)
{
    static const char *const places[] = {
        "podmon",
        "../libexec/podmon/podmon",
        "../podmon/podmon",
    };
    char path[PATH_MAX + 64];
    ssize_t length;
    char *slash;

    if (config->podmon)
        return copy(config->podmon, ret, why);
    length = readlink("/proc/self/exe", path, PATH_MAX);
    if (length < 0 || length >= PATH_MAX)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot read /proc/self/exe");
    path[length] = '\0';
    slash = strrchr(path, '/');
    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
        struct stat status;

        (void)snprintf(slash + 1, 64, "%s", places[i]);
        if (stat(path, &status) == 0 && S_ISREG(status.st_mode))
            return copy(path, ret, why);
    }
    *slash = '\0';
    return failure_say(why, FAILURE_FAILED_PRECONDITION,
                       "podmon is neither beside %s nor in ../libexec/podmon; set it in the "
                       "configuration",
                       path);
}
