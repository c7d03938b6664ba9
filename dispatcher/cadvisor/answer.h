/* SPDX-License-Identifier: Apache-2.0 */
/* What cAdvisor wants to know, in the JSON that it knows from CRI-O (cAdvisor v0.56,
 * container/crio/client.go). Pure. Texts are malloc'ed, the caller's; NULL without memory. */
#pragma once

#include "podmon.pb-c.h"

/* Of the node. The storage is no driver that cAdvisor knows, so that it does not walk through what
 * containers write: podmons have counted that already (ContainerStats). */
char *answer_of_node(const char *image_root);

char *answer_of_container(const Podmon__PodRecord *pod, const Podmon__ContainerRecord *container);

/* A pod is answered for like the "infra container" of other runtimes: its process is one whose
 * network is the pod's, or 0 if none runs or the pod has the host's. */
char *answer_of_pod(const Podmon__PodRecord *pod);
