/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/apparmor.h"

#include <fcntl.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/file.h"
#include "shared/text.h"

#define ENABLED "/sys/module/apparmor/parameters/enabled"
#define PROFILES "/sys/kernel/security/apparmor/profiles"

enum { PROFILES_MAX = 4 * 1024 * 1024 };

bool apparmor_is_on(void)
{
    AUTO_FREE char *text = NULL;

    return file_read_virtual_at(AT_FDCWD, ENABLED, 16, &text, NULL) >= 0 && *text == 'Y';
}

/* The kernel lists "name (mode)", one a line. */
bool apparmor_has(const char *profile)
{
    AUTO_FREE char *text = NULL;
    size_t length = strlen(profile);

    if (file_read_virtual_at(AT_FDCWD, PROFILES, PROFILES_MAX, &text, NULL) < 0)
        return false;
    for (const char *line = text; *line;) {
        if (strncmp(line, profile, length) == 0 && text_starts_with(line + length, " ("))
            return true;
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    return false;
}
