/* SPDX-License-Identifier: Apache-2.0 */
/* The annotations by which the first CRI says what runtime.v1 has fields for: sysctls, and seccomp
 * and AppArmor profiles. They stand on the sandbox. All results live in the arena. */
#pragma once

#include <stddef.h>

#include "dispatcher/arena.h"
#include "runtime_v1.pb-c.h"
#include "shared/failure.h"

typedef Runtime__V1__PodSandboxConfig__AnnotationsEntry Annotation;
typedef Runtime__V1__LinuxPodSandboxConfig__SysctlsEntry Sysctl;

/* The last of that name; NULL: there is none. */
const char *annotation_find(Annotation *const *annotations, size_t count, const char *name);

/* "name=value,…" of both sysctl annotations. *ret is an array of *ret_count, NULL without any. */
int annotation_read_sysctls(Annotation *const *annotations, size_t count, Arena *arena,
                            Sysctl ***ret, size_t *ret_count, Failure *why);

/* The seccomp profile of a container, or with `container` NULL of the pod, which also is that of
 * containers without one. *ret is NULL where nothing is said. Profiles of the node lie in
 * `profile_dir`. */
int annotation_read_seccomp(Annotation *const *annotations, size_t count, const char *container,
                            const char *profile_dir, Arena *arena,
                            Runtime__V1__SecurityProfile **ret, Failure *why);

/* The AppArmor profile of a container, *ret is NULL where nothing is said. */
int annotation_read_apparmor(Annotation *const *annotations, size_t count, const char *container,
                             Arena *arena, Runtime__V1__SecurityProfile **ret, Failure *why);
