/* SPDX-License-Identifier: Apache-2.0 */
/* A unit test program: TEST(name) { ... } for each case, TEST_MAIN at the end of the file.
 * Exit status 0: all passed, 1: one failed, 77: a case called SKIP and none failed. */
#pragma once

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

typedef struct TestCase {
    const char *name;
    void (*run)(void);
    struct TestCase *next;
} TestCase;

static TestCase *test_first, **test_tail = &test_first;
static bool test_failed, test_skipped;

#define TEST(id)                                                                                   \
    static void test_##id(void);                                                                   \
    __attribute__((constructor)) static void test_register_##id(void)                              \
    {                                                                                              \
        static TestCase self = {#id, test_##id, NULL};                                             \
        *test_tail = &self;                                                                        \
        test_tail = &self.next;                                                                    \
    }                                                                                              \
    static void test_##id(void)

#define CHECK(expression)                                                                          \
    do {                                                                                           \
        if (!(expression)) {                                                                       \
            printf("  %s:%d: failed: %s\n", __FILE__, __LINE__, #expression);                      \
            test_failed = true;                                                                    \
            return;                                                                                \
        }                                                                                          \
    } while (0)

#define CHECK_EQ(actual, expected)                                                                 \
    do {                                                                                           \
        intmax_t check_actual = (intmax_t)(actual), check_expected = (intmax_t)(expected);         \
        if (check_actual != check_expected) {                                                      \
            printf("  %s:%d: %s is %jd, expected %jd\n", __FILE__, __LINE__, #actual,              \
                   check_actual, check_expected);                                                  \
            test_failed = true;                                                                    \
            return;                                                                                \
        }                                                                                          \
    } while (0)

#define CHECK_STR(actual, expected)                                                                \
    do {                                                                                           \
        const char *check_actual = (actual), *check_expected = (expected);                         \
        if (!check_actual || strcmp(check_actual, check_expected) != 0) {                          \
            printf("  %s:%d: %s is \"%s\", expected \"%s\"\n", __FILE__, __LINE__, #actual,        \
                   check_actual ? check_actual : "(null)", check_expected);                        \
            test_failed = true;                                                                    \
            return;                                                                                \
        }                                                                                          \
    } while (0)

/* Leaves the case as not run; the reason is part of the result. */
#define SKIP(reason)                                                                               \
    do {                                                                                           \
        printf("  skipped: %s\n", reason);                                                         \
        test_skipped = true;                                                                       \
        return;                                                                                    \
    } while (0)

#define TEST_MAIN                                                                                  \
    int main(void)                                                                                 \
    {                                                                                              \
        bool any_failed = false;                                                                   \
        setvbuf(stdout, NULL, _IOLBF, 0);                                                          \
        for (TestCase *test = test_first; test; test = test->next) {                               \
            test_failed = false;                                                                   \
            test->run();                                                                           \
            printf("%s %s\n", test_failed ? "FAIL" : "ok  ", test->name);                          \
            any_failed = any_failed || test_failed;                                                \
        }                                                                                          \
        return any_failed ? 1 : test_skipped ? 77 : 0;                                             \
    }
