/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/challenge.h"

#include <errno.h>
#include <string.h>

#include "test/unit/test.h"

TEST(bearer)
{
    Challenge challenge;

    CHECK_EQ(challenge_parse("Bearer realm=\"https://auth.example/token\",service=\"a b\", "
                             "scope=\"repository:x/y:pull,push\"",
                             &challenge),
             0);
    CHECK_EQ(challenge.scheme, CHALLENGE_BEARER);
    CHECK_STR(challenge.realm, "https://auth.example/token");
    CHECK_STR(challenge.service, "a b");
    CHECK_STR(challenge.scope, "repository:x/y:pull,push");
}

TEST(basic)
{
    Challenge challenge;

    CHECK_EQ(challenge_parse("basic realm=\"a \\\"quoted\\\" one\", charset=UTF-8", &challenge), 0);
    CHECK_EQ(challenge.scheme, CHALLENGE_BASIC);
    CHECK_STR(challenge.realm, "a \"quoted\" one");
    CHECK_STR(challenge.service, "");
    CHECK_EQ(challenge_parse("Basic", &challenge), 0);
}

TEST(what_is_none_is_refused)
{
    static const char *const bad[] = {
        "",
        "Negotiate",
        "Bearer",
        "Bearer realm",
        "Bearer realm=",
        "Bearer realm=\"open",
        "Bearer realm=\"a\" service=\"b\"",
        "Bearer realm=\"\n\"",
        "Bearer =\"a\"",
        "Bearer realm=\"a\\",
        "Bearerrealm=\"a\"",
    };
    char longest[CHALLENGE_VALUE_SIZE + 32] = "Bearer realm=\"";
    Challenge challenge;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_EQ(challenge_parse(bad[i], &challenge), -EINVAL);
    memset(longest + strlen(longest), 'a', CHALLENGE_VALUE_SIZE);
    CHECK_EQ(challenge_parse(longest, &challenge), -EINVAL);
}

TEST_MAIN
