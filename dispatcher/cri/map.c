/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cri/map.h"

#include <string.h>

/* A map entry has the fields key = 1 and value = 2, in this order in its descriptor. */
enum { ENTRY_KEY = 0, ENTRY_VALUE = 1 };

/* protobuf-c itself goes through arrays of any message type like this. */
static const ProtobufCMessage *entry_at(const void *entries, size_t position)
{
    return ((const ProtobufCMessage *const *)entries)[position];
}

static const char *entry_get(const ProtobufCMessage *entry, int field)
{
    const char *text;

    memcpy(&text, (const char *)entry + entry->descriptor->fields[field].offset, sizeof(text));
    return text ? text : "";
}

static void entry_set(ProtobufCMessage *entry, int field, char *text)
{
    memcpy((char *)entry + entry->descriptor->fields[field].offset, &text, sizeof(text));
}

const char *map_key(const void *entries, size_t position)
{
    return entry_get(entry_at(entries, position), ENTRY_KEY);
}

const char *map_value(const void *entries, size_t position)
{
    return entry_get(entry_at(entries, position), ENTRY_VALUE);
}

size_t map_size(const void *entries, size_t count)
{
    size_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += strlen(map_key(entries, i)) + strlen(map_value(entries, i));
    return size;
}

Podmon__Pair **map_to_pairs(Arena *arena, const void *entries, size_t count)
{
    Podmon__Pair **pairs = arena_alloc_array(arena, count, sizeof(Podmon__Pair *));

    for (size_t i = 0; i < count; i++) {
        pairs[i] = arena_alloc(arena, sizeof(Podmon__Pair));
        podmon__pair__init(pairs[i]);
        /* Messages are never written to once made: what is shared is read only. */
        pairs[i]->key = (char *)(uintptr_t)map_key(entries, i);
        pairs[i]->value = (char *)(uintptr_t)map_value(entries, i);
    }
    return pairs;
}

void *map_from_pairs(Arena *arena, const ProtobufCMessageDescriptor *entry,
                     Podmon__Pair *const *pairs, size_t count)
{
    ProtobufCMessage **entries = arena_alloc_array(arena, count, sizeof(ProtobufCMessage *));

    for (size_t i = 0; i < count; i++) {
        entries[i] = arena_alloc(arena, entry->sizeof_message);
        protobuf_c_message_init(entry, entries[i]);
        entry_set(entries[i], ENTRY_KEY, pairs[i]->key);
        entry_set(entries[i], ENTRY_VALUE, pairs[i]->value);
    }
    return entries;
}
