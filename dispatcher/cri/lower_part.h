/* SPDX-License-Identifier: Apache-2.0 */
/* The parts that lower_pod and lower_container are made of. Each fills its part of the plan. */
#pragma once

#include "dispatcher/cri/lower.h"

/* Labels and annotations together, in bytes. */
enum { LOWER_METADATA_MAX = 1024 * 1024 };

/* Where the pod's cgroups go. `parent`: as it was asked for; empty: the configuration's. */
int lower_cgroup(const LowerContext *context, const char *parent, const Podmon__PodName *name,
                 const char *id, Podmon__CgroupPlan **ret, Failure *why);

/* The sandbox's namespaces; `from` may be NULL. */
int lower_pod_namespaces(Arena *arena, const Runtime__V1__NamespaceOption *from,
                         Podmon__Namespaces **ret, Failure *why);

/* A container's: network and IPC are the pod's, the pid namespace can be its own. */
int lower_container_namespaces(Arena *arena, const Runtime__V1__NamespaceOption *from,
                               const Podmon__PodRecord *pod, Podmon__Namespaces **ret,
                               Failure *why);

/* Only what can be changed without harm to the node, in namespaces that the pod has to itself. */
int lower_sysctls(Arena *arena, const Runtime__V1__LinuxPodSandboxConfig *from,
                  const Podmon__Namespaces *namespaces, Podmon__PodSpec *spec, Failure *why);

/* resolv.conf and what CNI is told. */
int lower_network(const LowerContext *context, const Runtime__V1__PodSandboxConfig *from,
                  Podmon__PodSpec *spec, Failure *why);

/* argv, env and cwd out of the image's and the request's. */
int lower_process(const LowerContext *context, const Runtime__V1__ContainerConfig *from,
                  const Podmon__PodRecord *pod, const Podmon__ImageRecord *image,
                  Podmon__ContainerSpec *spec, Failure *why);

/* The file systems every container has and the mounts of the request, parents first. Wants
 * spec->security and spec->namespaces. */
int lower_mounts(Arena *arena, const Runtime__V1__ContainerConfig *from,
                 Podmon__ContainerSpec *spec, Failure *why);

/* User, groups, capabilities, profiles, masked paths. `from` may be NULL. */
int lower_security(Arena *arena, const Runtime__V1__LinuxContainerSecurityContext *from,
                   const Podmon__PodRecord *pod, const Podmon__ImageRecord *image,
                   Podmon__ContainerSpec *spec, Failure *why);

/* NULL if no part is set. */
int lower_selinux(Arena *arena, const char *field, const Runtime__V1__SELinuxOption *from,
                  Podmon__SelinuxLabel **ret, Failure *why);
