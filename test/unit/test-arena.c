/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/arena.h"

#include <signal.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include "podmon.pb-c.h"
#include "test/unit/test.h"

TEST(memory_is_zeroed_aligned_and_apart)
{
    AUTO_ARENA Arena *arena = arena_new();
    unsigned char *last = NULL;
    size_t last_size = 0;

    for (size_t size = 0; size < 3000; size++) {
        unsigned char *memory = arena_alloc(arena, size);
        CHECK_EQ((uintptr_t)memory % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++)
            CHECK_EQ(memory[i], 0);
        memset(memory, 0xff, size);
        CHECK(last_size == 0 || memory >= last + last_size || memory + size <= last);
        last = memory;
        last_size = size;
    }
    memset(arena_alloc(arena, 10 * 1024 * 1024), 1, 10 * 1024 * 1024);
    memset(arena_alloc_array(arena, 1000, 1000), 1, 1000 * 1000);
}

TEST(texts)
{
    AUTO_ARENA Arena *arena = arena_new();
    char original[] = "text";
    const char *copy = arena_copy(arena, original);

    original[0] = 'x';
    CHECK_STR(copy, "text");
    CHECK(!arena_copy(arena, NULL));
    CHECK_STR(arena_print(arena, "%s-%05d", "a", 42), "a-00042");
    CHECK_STR(arena_print(arena, "%s", ""), "");
    CHECK_EQ(strlen(arena_print(arena, "%10000d", 1)), 10000);
    CHECK(!arena_free(NULL));
}

TEST(messages_live_in_it)
{
    AUTO_ARENA Arena *arena = arena_new();
    static const uint8_t bytes[] = {0x0a, 1, 'k', 0x12, 2, 'v', 'w', 0x1a, 1, 'u'};
    const Podmon__Pair *pair = podmon__pair__unpack(arena_allocator(arena), sizeof(bytes), bytes);

    CHECK(pair);
    CHECK_STR(pair->key, "k");
    CHECK_STR(pair->value, "vw");
    CHECK(!podmon__pair__unpack(arena_allocator(arena), sizeof(bytes) - 1, bytes));
}

TEST(overflow_ends_the_process)
{
    pid_t child = fork();
    int status;

    CHECK(child >= 0);
    if (child == 0) {
        Arena *arena = arena_new();
        (void)close(STDERR_FILENO);
        (void)signal(SIGABRT, SIG_DFL);
        (void)arena_alloc_array(arena, SIZE_MAX / 2, 3);
        _exit(0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

TEST_MAIN
