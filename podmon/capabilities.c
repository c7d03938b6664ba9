/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/capabilities.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* glibc's setgroups(3) and friends signal all threads; stage 2 has one, and must not touch what a
 * library keeps about threads. */
static int change_groups(const Identity *identity)
{
    gid_t groups[IDENTITY_GROUPS_MAX];

    for (uint32_t i = 0; i < identity->groups_count; i++)
        groups[i] = identity->groups[i];
    return (int)syscall(SYS_setgroups, (size_t)identity->groups_count, groups);
}

static int set_sets(const CapabilitySets *sets)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];

    for (int half = 0; half < 2; half++) {
        data[half].effective = data[half].permitted = (uint32_t)(sets->bounding >> (32 * half));
        data[half].inheritable = (uint32_t)(sets->ambient >> (32 * half));
    }
    return (int)syscall(SYS_capset, &header, data);
}

int capabilities_read_own(uint64_t *ret)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];

    if (syscall(SYS_capget, &header, data) < 0)
        return -errno;
    *ret = (uint64_t)data[1].permitted << 32 | data[0].permitted;
    return 0;
}

CapabilitySets capabilities_plan(const Podmon__SecurityPlan *security, uint64_t own)
{
    uint64_t asked = security ? security->capabilities : 0;
    uint64_t ambient = security ? security->ambient_capabilities : 0;
    static int last; /* that this kernel knows: 40 calls to find out */

    while (last < 63 && prctl(PR_CAPBSET_READ, last + 1) >= 0)
        last++;
    return (CapabilitySets){asked & own, asked & own & ambient, last};
}

int capabilities_become(const CapabilitySets *sets, const Identity *identity)
{
    for (int capability = 0; capability <= sets->last; capability++)
        if (!(sets->bounding >> capability & 1) && prctl(PR_CAPBSET_DROP, capability) < 0)
            return -errno;
    if (prctl(PR_SET_KEEPCAPS, 1) < 0 || change_groups(identity) < 0 ||
        syscall(SYS_setresgid, identity->gid, identity->gid, identity->gid) < 0 ||
        syscall(SYS_setresuid, identity->uid, identity->uid, identity->uid) < 0 ||
        prctl(PR_SET_KEEPCAPS, 0) < 0 || set_sets(sets) < 0)
        return -errno;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return -errno;
    for (int capability = 0; capability <= sets->last; capability++)
        if ((sets->ambient >> capability & 1) &&
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0)
            return -errno;
    return 0;
}
