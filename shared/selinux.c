/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/selinux.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/file.h"

#define CONTEXT "/sys/fs/selinux/context"

enum { LABEL_MAX = 4096 };

/* Without a policy every process has the label "kernel". */
bool selinux_is_on(void)
{
    AUTO_FREE char *label = NULL;
    struct statfs status;

    return statfs("/sys/fs/selinux", &status) == 0 && status.f_type == SELINUX_MAGIC &&
           file_read_virtual_at(AT_FDCWD, "/proc/self/attr/current", LABEL_MAX, &label, NULL) >=
               0 &&
           *label && strcmp(label, "kernel") != 0 && strcmp(label, "kernel\n") != 0;
}

bool selinux_spell(char *label, size_t size)
{
    AUTO_CLOSE int fd = open(CONTEXT, O_RDWR | O_CLOEXEC);
    size_t length = strlen(label);
    ssize_t spelt;

    if (fd < 0 || write(fd, label, length) != (ssize_t)length)
        return false;
    spelt = read(fd, label, size - 1);
    if (spelt <= 0)
        return false;
    label[spelt] = '\0';
    return true;
}
