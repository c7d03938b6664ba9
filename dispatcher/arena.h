/* SPDX-License-Identifier: Apache-2.0 */
/* Memory with one end: everything allocated for a request is given back when it is answered.
 * Running out of memory here ends the process (h2o does the same): the dispatcher holds nothing
 * that is not on disk. podmon does not use it. */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

typedef struct Arena Arena;

Arena *arena_new(void);
Arena *arena_free(Arena *arena); /* returns NULL; accepts NULL */

/* Zeroed, aligned for any object. */
void *arena_alloc(Arena *arena, size_t size) __attribute__((returns_nonnull));
void *arena_alloc_array(Arena *arena, size_t count, size_t size)
    __attribute__((returns_nonnull));               /* overflow ends the process */
char *arena_copy(Arena *arena, const char *string); /* NULL stays NULL */
char *arena_print(Arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For protobuf-c: what is unpacked with it lives as long as the arena; never freed one by one. */
ProtobufCAllocator *arena_allocator(Arena *arena);

static inline void arena_cleanup(Arena **arena)
{
    (void)arena_free(*arena);
}

#define AUTO_ARENA __attribute__((cleanup(arena_cleanup)))
