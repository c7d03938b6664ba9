/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/credentials.h"

#include <errno.h>
#include <string.h>

#include "shared/cleanup.h"
#include "test/unit/test.h"

static int make(const char *auth, const char *server, Credentials *ret, Failure *why)
{
    Pull__Credentials fields = PULL__CREDENTIALS__INIT;

    fields.server = (char *)(uintptr_t)server;
    return credentials_make(&fields, auth, ret, why);
}

TEST(auth_is_name_and_password)
{
    CLEANUP(credentials_done) Credentials credentials = {0};
    char *basic;

    CHECK_EQ(make("bmFtZTpwYXNzOndvcmQ=", "", &credentials, NULL), 0);
    CHECK_STR(credentials.username, "name");
    CHECK_STR(credentials.password, "pass:word");
    basic = credentials_basic(&credentials);
    CHECK_STR(basic, "Basic bmFtZTpwYXNzOndvcmQ=");
    secret_free(basic);
}

TEST(auth_that_is_none_is_refused)
{
    static const char *const bad[] = {"!", "bmFtZQ==", "====", "bmFtZTpwYXNz\n!"};
    Credentials credentials;
    Failure why;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_EQ(make(bad[i], "", &credentials, &why), -EINVAL);
        CHECK_EQ(why.code, FAILURE_INVALID_ARGUMENT);
    }
}

TEST(what_would_begin_another_header_is_refused)
{
    Pull__Credentials fields = PULL__CREDENTIALS__INIT;
    char token[] = "a\r\nX: y", name[] = "a:b";
    Credentials credentials;
    Failure why;

    fields.registry_token = token;
    CHECK_EQ(credentials_make(&fields, NULL, &credentials, &why), -EINVAL);
    CHECK(strstr(why.text, "auth.registry_token") && !strstr(why.text, "X: y"));
    fields = (Pull__Credentials)PULL__CREDENTIALS__INIT;
    fields.username = name;
    CHECK_EQ(credentials_make(&fields, NULL, &credentials, &why), -EINVAL);
}

TEST(they_are_for_one_host)
{
    static const struct {
        const char *server, *registry, *host;
        bool fit;
    } cases[] = {
        {"", "quay.io", "quay.io", true},
        {"", "quay.io", "mirror:5000", false},
        {"mirror:5000", "quay.io", "mirror:5000", true},
        {"mirror:5000", "quay.io", "quay.io", false},
        {"https://index.docker.io/v1/", "docker.io", "docker.io", true},
        {"https://quay.io/v2/", "quay.io", "quay.io", true},
        {"quay.io.evil", "quay.io", "quay.io", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CLEANUP(credentials_done) Credentials credentials = {0};

        CHECK_EQ(make("YTpi", cases[i].server, &credentials, NULL), 0);
        CHECK_EQ(credentials_fit(&credentials, cases[i].registry, cases[i].host), cases[i].fit);
    }
}

TEST_MAIN
