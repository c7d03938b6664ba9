/* SPDX-License-Identifier: Apache-2.0 */
/* The two labels of a container under SELinux: of its processes and of its files. Each part is that
 * of the container's options, else of its pod's, else what policies for containers agree on:
 * container_t (spc_t for a privileged one) and container_file_t. The dispatcher gives every pod a
 * level of its own, so that the files of one are closed to the others. */
#pragma once

#include "podmon.pb-c.h"
#include "shared/failure.h"

enum { LABELS_SIZE = 512 };

typedef struct Labels {
    char process[LABELS_SIZE]; /* empty: none is set */
    char file[LABELS_SIZE];    /* likewise */
} Labels;

/* Both empty where SELinux is off; options are FAILED_PRECONDITION there. A label with a part that
 * was asked for and that the policy does not know is INVALID_ARGUMENT; one that nobody asked for is
 * done without. Of a privileged container the options are only checked, and only where SELinux is
 * on. `security` NULL: the labels of the pod. */
int labels_of(const Podmon__PodSpec *pod, const Podmon__SecurityPlan *security, Labels *ret,
              Failure *why);
