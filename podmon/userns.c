/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include "shared/cleanup.h"
#include "shared/file.h"
#include "shared/text.h"

bool userns_is_own(const Podmon__Namespaces *namespaces)
{
    return namespaces && namespaces->user == PODMON__NAMESPACE_MODE__NAMESPACE_POD &&
           namespaces->n_uid_mappings > 0;
}

static uint32_t map(Podmon__IdMapping *const *mappings, size_t count, uint32_t id)
{
    for (size_t i = 0; i < count; i++)
        if (id >= mappings[i]->container_id && id - mappings[i]->container_id < mappings[i]->length)
            return mappings[i]->host_id + (id - mappings[i]->container_id);
    return UINT32_MAX;
}

uint32_t userns_host_uid(const Podmon__Namespaces *namespaces, uint32_t uid)
{
    return userns_is_own(namespaces)
               ? map(namespaces->uid_mappings, namespaces->n_uid_mappings, uid)
               : uid;
}

uint32_t userns_host_gid(const Podmon__Namespaces *namespaces, uint32_t gid)
{
    return userns_is_own(namespaces)
               ? map(namespaces->gid_mappings, namespaces->n_gid_mappings, gid)
               : gid;
}

int userns_check_identity(const Podmon__Namespaces *namespaces, const Identity *identity,
                          Failure *why)
{
    if (userns_host_uid(namespaces, identity->uid) == UINT32_MAX)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "user %" PRIu32 " is not mapped in the pod's user namespace",
                           identity->uid);
    if (userns_host_gid(namespaces, identity->gid) == UINT32_MAX)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "group %" PRIu32 " is not mapped in the pod's user namespace",
                           identity->gid);
    for (uint32_t i = 0; i < identity->groups_count; i++)
        if (userns_host_gid(namespaces, identity->groups[i]) == UINT32_MAX)
            return failure_say(why, FAILURE_INVALID_ARGUMENT,
                               "group %" PRIu32 " is not mapped in the pod's user namespace",
                               identity->groups[i]);
    return 0;
}

/* The kernel takes a map in one write, and never another. */
static int write_map(pid_t pid, const char *name, Podmon__IdMapping *const *mappings, size_t count)
{
    CLEANUP(text_done) Text lines = {0};
    char path[40];
    int r = 0;

    for (size_t i = 0; r >= 0 && i < count; i++)
        r = text_print(&lines, "%" PRIu32 " %" PRIu32 " %" PRIu32 "\n", mappings[i]->container_id,
                       mappings[i]->host_id, mappings[i]->length);
    if (r < 0)
        return r;
    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    return file_put_at(AT_FDCWD, path, lines.data);
}

int userns_write_mappings(const Podmon__Namespaces *namespaces, pid_t pid)
{
    int r = write_map(pid, "uid_map", namespaces->uid_mappings, namespaces->n_uid_mappings);

    return r < 0 ? r
                 : write_map(pid, "gid_map", namespaces->gid_mappings, namespaces->n_gid_mappings);
}
