/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK_FIRST = 4 * 1024,
    CHUNK_MAX = 256 * 1024,
};

/* Filled from the front. What does not fit begins a new chunk; the rest of the old one is lost. */
typedef struct Chunk {
    struct Chunk *next;
    size_t used, capacity;
    _Alignas(max_align_t) unsigned char bytes[];
} Chunk;

struct Arena {
    ProtobufCAllocator allocator;
    Chunk *chunks; /* the one being filled is the first */
    size_t chunk_size;
};

static _Noreturn void run_out(void)
{
    (void)fputs("podmon-dispatcher: out of memory\n", stderr);
    abort();
}

static void *allocate(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void leave(void *arena, void *memory)
{
    (void)arena;
    (void)memory;
}

Arena *arena_new(void)
{
    Arena *arena = calloc(1, sizeof(*arena));

    if (!arena)
        run_out();
    arena->allocator = (ProtobufCAllocator){allocate, leave, arena};
    arena->chunk_size = CHUNK_FIRST;
    return arena;
}

Arena *arena_free(Arena *arena)
{
    Chunk *chunk = arena ? arena->chunks : NULL;

    while (chunk) {
        Chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    free(arena);
    return NULL;
}

static void add_chunk(Arena *arena, size_t size)
{
    size_t capacity = size > arena->chunk_size ? size : arena->chunk_size;
    Chunk *chunk = size <= SIZE_MAX / 2 ? calloc(1, sizeof(*chunk) + capacity) : NULL;

    if (!chunk)
        run_out();
    chunk->capacity = capacity;
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    if (arena->chunk_size < CHUNK_MAX)
        arena->chunk_size *= 2;
}

void *arena_alloc(Arena *arena, size_t size)
{
    const size_t alignment = _Alignof(max_align_t);
    Chunk *chunk = arena->chunks;
    size_t start = chunk ? (chunk->used + alignment - 1) / alignment * alignment : 0;

    if (!chunk || start > chunk->capacity || size > chunk->capacity - start) {
        add_chunk(arena, size);
        chunk = arena->chunks;
        start = 0;
    }
    chunk->used = start + size;
    return chunk->bytes + start;
}

void *arena_alloc_array(Arena *arena, size_t count, size_t size)
{
    size_t total;

    if (__builtin_mul_overflow(count, size, &total))
        run_out();
    return arena_alloc(arena, total);
}

char *arena_copy(Arena *arena, const char *string)
{
    size_t size;

    if (!string)
        return NULL;
    size = strlen(string) + 1;
    return memcpy(arena_alloc(arena, size), string, size);
}

char *arena_print(Arena *arena, const char *format, ...)
{
    va_list arguments, again;
    int length;
    char *text;

    va_start(arguments, format);
    va_copy(again, arguments);
    length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        run_out();
    text = arena_alloc(arena, (size_t)length + 1);
    (void)vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

ProtobufCAllocator *arena_allocator(Arena *arena)
{
    return &arena->allocator;
}
