/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/failure.h"

#include <errno.h>

#include "test/unit/test.h"

TEST(set_explains_and_fails)
{
    Failure why = {0};

    CHECK_EQ(failure_set(&why, FAILURE_NOT_FOUND, ENOENT, "no image %s", "busybox"), -ENOENT);
    CHECK_EQ(why.code, FAILURE_NOT_FOUND);
    CHECK_STR(why.text, "no image busybox: No such file or directory");
}

TEST(set_without_why)
{
    CHECK_EQ(failure_set(NULL, FAILURE_INTERNAL, EPERM, "x"), -EPERM);
    CHECK_EQ(failure_say(NULL, FAILURE_NOT_FOUND, "x"), -ENOENT);
    failure_prefix(NULL, "x");
}

TEST(set_never_succeeds)
{
    Failure why = {0};

    CHECK_EQ(failure_set(&why, FAILURE_INTERNAL, 0, "lost"), -EIO);
    CHECK_STR(why.text, "lost");
    CHECK_EQ(failure_set(&why, FAILURE_INTERNAL, 4000, "odd"), -4000);
    CHECK_STR(why.text, "odd: error 4000");
}

TEST(exhaustion_has_its_code)
{
    static const int errors[] = {ENOSPC, EDQUOT, EMFILE, ENFILE, ENOMEM};
    Failure why = {0};

    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        (void)failure_set(&why, FAILURE_INTERNAL, errors[i], "x");
        CHECK_EQ(why.code, FAILURE_RESOURCE_EXHAUSTED);
        (void)failure_set(&why, FAILURE_UNAVAILABLE, errors[i], "x");
        CHECK_EQ(why.code, FAILURE_UNAVAILABLE);
    }
    (void)failure_set(&why, FAILURE_INTERNAL, EIO, "x");
    CHECK_EQ(why.code, FAILURE_INTERNAL);
}

TEST(say_has_an_error_for_each_code)
{
    for (int code = FAILURE_NONE; code <= FAILURE_UNAVAILABLE; code++) {
        int expected = code == FAILURE_INVALID_ARGUMENT || code == FAILURE_OUT_OF_RANGE ? -EINVAL
                       : code == FAILURE_NOT_FOUND                                      ? -ENOENT
                       : code == FAILURE_ALREADY_EXISTS                                 ? -EEXIST
                       : code == FAILURE_FAILED_PRECONDITION                            ? -EBUSY
                                                                                        : -EIO;
        CHECK_EQ(failure_say(NULL, (FailureCode)code, "x"), expected);
    }
}

TEST(control_bytes_are_shown)
{
    Failure why = {0};

    (void)failure_say(&why, FAILURE_INTERNAL, "a\nb\x1b[1m\x7f\xc3\xa9");
    CHECK_STR(why.text, "a?b?[1m?\xc3\xa9");
}

TEST(text_is_cut)
{
    char big[4 * FAILURE_TEXT_MAX];
    Failure why = {0};

    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    (void)failure_set(&why, FAILURE_INTERNAL, EIO, "%s", big);
    CHECK_EQ(strlen(why.text), FAILURE_TEXT_MAX - 1);
    failure_prefix(&why, "%s", big);
    CHECK_EQ(strlen(why.text), FAILURE_TEXT_MAX - 1);
}

TEST(prefix_goes_in_front)
{
    Failure why = {0};

    (void)failure_say(&why, FAILURE_NOT_FOUND, "no layer");
    failure_prefix(&why, "container %d\n", 7);
    CHECK_STR(why.text, "container 7?: no layer");
    CHECK_EQ(why.code, FAILURE_NOT_FOUND);
}

TEST_MAIN
