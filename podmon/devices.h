/* SPDX-License-Identifier: Apache-2.0 */
/* The device nodes of a container: those every container has, those of its spec, all of the
 * host's for a privileged one, and the same list as rules for the v1 devices controller. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "podmon.pb-c.h"
#include "shared/failure.h"

typedef struct Device {
    char *container_path; /* clean, absolute */
    char *host_path;
    mode_t mode; /* type and permissions */
    uid_t uid;
    gid_t gid;
    dev_t number;
    char access[4]; /* of "rwm" */
} Device;

typedef struct DeviceList {
    Device *devices;
    size_t count;
} DeviceList;

void devices_done(DeviceList *list);

/* What the spec asks for beyond the default nodes. At most 4,096. INVALID_ARGUMENT names a device
 * that the host does not have, or permissions that are none. */
int devices_list(const Podmon__ContainerSpec *spec, DeviceList *ret, Failure *why);

/* Fills a fresh /dev (a tmpfs that nobody else sees yet): default nodes and links, the mount
 * points, an empty file `console`, and those devices of the list that are below /dev. */
int devices_populate(int dev_fd, const DeviceList *list, Failure *why);

/* Rules for devices.allow ("c 1:3 rwm"), after everything was denied; one rule "a" for a privileged
 * container. The list is the caller's (text_list_free). */
int devices_rules(const Podmon__ContainerSpec *spec, char ***ret, Failure *why);
