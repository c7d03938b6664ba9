/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/capability_names.h"

#include <errno.h>
#include <linux/capability.h>
#include <stddef.h>
#include <strings.h>

#define BIT(number) (UINT64_C(1) << (number))

enum { PREFIX_LENGTH = 4 };

/* By number, linux/capability.h. */
static const char *const NAMES[] = {
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
};

enum { NAMES_COUNT = sizeof(NAMES) / sizeof(NAMES[0]) };

_Static_assert(NAMES_COUNT == CAP_CHECKPOINT_RESTORE + 1, "the table follows the numbers");

int capability_names_find(const char *name)
{
    if (strncasecmp(name, "CAP_", PREFIX_LENGTH) == 0)
        name += PREFIX_LENGTH;
    for (int i = 0; i < NAMES_COUNT; i++)
        if (strcasecmp(name, NAMES[i] + PREFIX_LENGTH) == 0)
            return i;
    return -ENOENT;
}

const char *capability_names_get(int number)
{
    return number >= 0 && number < NAMES_COUNT ? NAMES[number] : NULL;
}

uint64_t capability_names_all(void)
{
    return BIT(NAMES_COUNT) - 1;
}

uint64_t capability_names_default(void)
{
    return BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FSETID) | BIT(CAP_FOWNER) |
           BIT(CAP_MKNOD) | BIT(CAP_NET_RAW) | BIT(CAP_SETGID) | BIT(CAP_SETUID) |
           BIT(CAP_SETFCAP) | BIT(CAP_SETPCAP) | BIT(CAP_NET_BIND_SERVICE) | BIT(CAP_SYS_CHROOT) |
           BIT(CAP_KILL) | BIT(CAP_AUDIT_WRITE);
}
