/* SPDX-License-Identifier: Apache-2.0 */
/* Maps of strings. In runtime.v1 every map has an entry type of its own, all alike; ours are lists
 * of Pairs. Both ways go by the entry's descriptor, so that one function serves all of them. */
#pragma once

#include "dispatcher/arena.h"
#include "podmon.pb-c.h"

/* `entries`: the map's array of pointers (LabelsEntry ** and the like). Strings are shared. */
Podmon__Pair **map_to_pairs(Arena *arena, const void *entries, size_t count);

/* An array of `count` pointers to new messages of the entry type. Strings are shared. */
void *map_from_pairs(Arena *arena, const ProtobufCMessageDescriptor *entry,
                     Podmon__Pair *const *pairs, size_t count);

/* Key and value of one entry of such a map. */
const char *map_key(const void *entries, size_t position);
const char *map_value(const void *entries, size_t position);

/* Bytes of all keys and values. */
size_t map_size(const void *entries, size_t count);
