/* SPDX-License-Identifier: Apache-2.0 */
/* runtime.v1 requests as plans that a podmon carries out as they stand: every check and every
 * default is here, and nothing here has an effect or looks at anything but its arguments.
 *
 * A refusal is one sentence that names the field and the value. Plans live in the arena and share
 * strings with the request, the record and the context they were made from. */
#pragma once

#include <stdbool.h>

#include "dispatcher/arena.h"
#include "dispatcher/config.h"
#include "podmon.pb-c.h"
#include "runtime_v1.pb-c.h"
#include "shared/failure.h"

/* What a plan depends on besides the request. */
typedef struct LowerContext {
    Arena *arena;
    const Config *config;
    bool systemd;                 /* scopes by systemd */
    const char *node_hostname;    /* for pods that name none */
    const char *node_resolv_conf; /* text, for pods that bring no DNS configuration */
    const char *selinux_level;    /* for a pod that names none; NULL: SELinux is off */
} LowerContext;

/* Whom the pod is. Enough to know a repeated request by. */
int lower_pod_name(Arena *arena, const Runtime__V1__PodSandboxConfig *config, Podmon__PodName **ret,
                   Failure *why);

int lower_pod(const LowerContext *context, const Runtime__V1__RunPodSandboxRequest *request,
              const char *id, Podmon__PodSpec **ret, Failure *why);

/* `layers`: absolute directories, lowest first, `image->n_layers` of them. */
int lower_container(const LowerContext *context, const Runtime__V1__ContainerConfig *config,
                    const Podmon__PodRecord *pod, const Podmon__ImageRecord *image, char **layers,
                    const char *id, Podmon__ContainerSpec **ret, Failure *why);

/* `field` leads the refusals ("config.linux.resources"); `from` may be NULL: nothing is set. */
int lower_resources(Arena *arena, const char *field,
                    const Runtime__V1__LinuxContainerResources *from, Podmon__Resources **ret,
                    Failure *why);
