/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/text.h"

#include <errno.h>
#include <stdlib.h>

#include "shared/cleanup.h"
#include "test/unit/test.h"

TEST(text_grows)
{
    CLEANUP(text_done) Text text = {0};

    CHECK_EQ(text_append(&text, NULL, 0), 0);
    CHECK_STR(text.data, "");
    CHECK_EQ(text_add(&text, "one"), 0);
    CHECK_EQ(text_print(&text, " %s %d", "two", 3), 0);
    CHECK_STR(text.data, "one two 3");
    CHECK_EQ(text_append(&text, "\0z", 2), 0);
    CHECK_EQ(text.size, 11);
    for (int i = 0; i < 10000; i++)
        CHECK_EQ(text_print(&text, "%05d", i), 0);
    CHECK_EQ(text.size, 50011);
    CHECK_STR(text.data + 50006, "09999");
}

TEST(text_has_a_limit)
{
    enum { LIMIT = 64 * 1024 * 1024 };
    CLEANUP(text_done) Text text = {0};
    AUTO_FREE char *block = calloc(1, LIMIT);

    CHECK(block);
    CHECK_EQ(text_append(&text, block, LIMIT), 0);
    CHECK_EQ(text_add(&text, "x"), -EFBIG);
    CHECK_EQ(text_print(&text, "%d", 1), -EFBIG);
    CHECK_EQ(text.size, LIMIT);
    CHECK_EQ(text_append(&text, block, SIZE_MAX), -EFBIG);
    text_done(&text);
    CHECK(!text.data && text.size == 0 && text.capacity == 0);
}

TEST(printable)
{
    static const char *const good[] = {"",
                                       "plain ~",
                                       "\xc3\xa9",
                                       "\xe2\x82\xac",
                                       "\xf0\x9f\x90\xb3",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"a\nb",
                                      "\x1b[0m",
                                      "\x7f",
                                      "\x80",
                                      "\xc3",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xe2\x82",
                                      "\xe0\x80\x80",
                                      "\xed\xa0\x80",
                                      "\xff",
                                      "\xf0\x80\x80\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xc3z"};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CHECK(text_is_printable(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(!text_is_printable(bad[i]));
}

TEST(safe_copies)
{
    char copy[6];

    text_make_safe("a\nb\x7f\xc3rest", copy, sizeof(copy));
    CHECK_STR(copy, "a?b??");
    text_make_safe("ab", copy, sizeof(copy));
    CHECK_STR(copy, "ab");
    text_make_safe("ab", copy, 1);
    CHECK_STR(copy, "");
    copy[0] = 'x';
    text_make_safe("ab", copy, 0);
    CHECK_EQ(copy[0], 'x');
}

TEST(prefixes)
{
    CHECK(text_starts_with("abc", "ab") && text_starts_with("abc", "") &&
          text_starts_with("abc", "abc"));
    CHECK(!text_starts_with("ab", "abc") && !text_starts_with("", "a"));
}

TEST(lists)
{
    CLEANUP(text_list_cleanup) char **list = NULL;

    CHECK_EQ(text_list_count(list), 0);
    CHECK_EQ(text_list_add(&list, "one"), 0);
    CHECK_EQ(text_list_add(&list, ""), 0);
    CHECK_EQ(text_list_count(list), 2);
    CHECK_STR(list[0], "one");
    CHECK_STR(list[1], "");
    CHECK(!list[2]);
    text_list_free(NULL);
}

TEST_MAIN
