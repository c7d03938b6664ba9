/* SPDX-License-Identifier: Apache-2.0 */
/* What the administrator says of registries, and where an image is asked for by it. */
#include "dispatcher/image/endpoint.h"

#include <errno.h>
#include <string.h>

#include "shared/cleanup.h"
#include "test/unit/scratch.h"
#include "test/unit/test.h"

static int load(const char *text, Registries *ret, Failure *why)
{
    SCRATCH(scratch);

    scratch_write(&scratch, "a.conf", text);
    scratch_write(&scratch, "ignored", "nonsense");
    return registries_load(scratch.path, ret, why);
}

TEST(no_directory_says_nothing)
{
    CLEANUP(registries_done) Registries registries = {0};

    CHECK_EQ(registries_load("/nonexistent-directory", &registries, NULL), 0);
    CHECK_EQ(registries.count, 0);
}

TEST(sections)
{
    CLEANUP(registries_done) Registries registries = {0};
    const RegistryConfig *config;

    CHECK_EQ(load("[docker.io]\nmirror = https://a http://b:1/c\n  https://d\nmirror = https://e\n"
                  "header = X-A: 1\nplain-http = no\n[*]\nproxy = none\n",
                  &registries, NULL),
             0);
    config = registries_find(&registries, "docker.io");
    CHECK_STR(config->mirrors[1], "http://b:1/c");
    CHECK_STR(config->mirrors[3], "https://e");
    CHECK_STR(config->headers[0], "X-A: 1");
    CHECK_EQ(config->plain_http, PLAIN_HTTP_NO);
    config = registries_find(&registries, "quay.io");
    CHECK_STR(config->proxy, "");
}

TEST(what_is_wrong_is_named)
{
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"[a]\nmirror = ftp://x\n", "mirror in [a] is not"},
        {"[a]\nmirror = https://x?y\n", "mirror in [a] is not"},
        {"[a]\nca = relative\n", "ca in [a] is not"},
        {"[a]\nplain-http = maybe\n", "plain-http in [a] is not yes or no"},
        {"[a]\nheader = secret\n", "header in [a] is not"},
        {"[a]\nmiror = https://x\n", "unknown key \"miror\""},
        {"mirror = https://x\n", "is in no section"},
        {"[a]\nnonsense\n", "neither"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        Registries registries;
        Failure why = {0};

        CHECK(load(cases[i].text, &registries, &why) < 0);
        CHECK(strstr(why.text, cases[i].said));
        CHECK(!strstr(why.text, "secret"));
    }
}

static void endpoints_cleanup(Endpoints *endpoints)
{
    endpoints_done(endpoints);
}

TEST(addresses)
{
    static const Pull__Credentials none = PULL__CREDENTIALS__INIT;
    static const struct {
        const char *name, *base;
    } cases[] = {
        {"busybox", "https://registry-1.docker.io/v2/library/busybox"},
        {"quay.io/a/b", "https://quay.io/v2/a/b"},
        {"localhost:5000/a", "http://localhost:5000/v2/a"},
        {"127.0.0.1:5000/a", "http://127.0.0.1:5000/v2/a"},
        {"plain.example/a", "http://plain.example/v2/a"},
    };
    CLEANUP(registries_done) Registries registries = {0};
    CLEANUP(credentials_done) Credentials credentials = {0};
    CLEANUP(endpoints_cleanup) Endpoints mirrored = {0};
    ImageReference reference;

    CHECK_EQ(load("[plain.example]\nplain-http = yes\n[gcr.io]\nmirror = https://m/p/\n",
                  &registries, NULL),
             0);
    CHECK_EQ(credentials_make(&none, NULL, &credentials, NULL), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CLEANUP(endpoints_cleanup) Endpoints endpoints = {0};

        CHECK_EQ(image_reference_parse(cases[i].name, &reference, NULL), 0);
        CHECK_EQ(endpoints_make(&reference, &registries, &credentials, &endpoints, NULL), 0);
        CHECK_EQ(endpoints.count, 1);
        CHECK_STR(endpoints.list[0].base, cases[i].base);
    }
    CHECK_EQ(image_reference_parse("gcr.io/a/b", &reference, NULL), 0);
    CHECK_EQ(endpoints_make(&reference, &registries, &credentials, &mirrored, NULL), 0);
    CHECK_EQ(mirrored.count, 2);
    CHECK_STR(mirrored.list[0].base, "https://m/v2/p/a/b");
    CHECK_STR(mirrored.list[0].query, "?ns=gcr.io");
    CHECK(mirrored.list[0].is_mirror && !mirrored.list[1].is_mirror);
}

TEST_MAIN
