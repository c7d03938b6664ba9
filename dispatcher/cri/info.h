/* SPDX-License-Identifier: Apache-2.0 */
/* What clients get who ask verbosely: maps of JSON texts, one entry "info" for an object, as crictl
 * shows them. All JSON is written by cJSON, so that no value can break out of its quotes. */
#pragma once

#include "dispatcher/arena.h"
#include "dispatcher/node.h"
#include "podmon.pb-c.h"

/* Each returns pairs in the arena, with their number. `silence`: nanoseconds for which the pod's
 * podmon has not answered. */
Podmon__Pair **info_of_pod(Arena *arena, const Podmon__PodRecord *pod, uint64_t silence,
                           size_t *ret_count);
Podmon__Pair **info_of_container(Arena *arena, const Podmon__PodRecord *pod,
                                 const Podmon__ContainerRecord *container, size_t *ret_count);
Podmon__Pair **info_of_image(Arena *arena, const Podmon__ImageRecord *image, size_t *ret_count);

/* `network`: the CNI configuration in use, or why there is none. */
Podmon__Pair **info_of_node(Arena *arena, const Node *node, const char *network, size_t *ret_count);
