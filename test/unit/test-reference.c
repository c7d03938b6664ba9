/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/reference.h"

#include <errno.h>
#include <stdlib.h>

#include "test/unit/test.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define LONG_NAME                                                                                  \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aaaaaaaa"

static const struct {
    const char *text, *tagged, *digest;
} good[] = {
    {"busybox", "docker.io/library/busybox:latest", ""},
    {"busybox:1.36", "docker.io/library/busybox:1.36", ""},
    {"docker.io/busybox", "docker.io/library/busybox:latest", ""},
    {"index.docker.io/library/busybox", "docker.io/library/busybox:latest", ""},
    {"user/thing", "docker.io/user/thing:latest", ""},
    {"quay.io/a/b/c:V_1.2-x", "quay.io/a/b/c:V_1.2-x", ""},
    {"localhost/x", "localhost/x:latest", ""},
    {"localhost:5000/x:1", "localhost:5000/x:1", ""},
    {"127.0.0.1:5000/x", "127.0.0.1:5000/x:latest", ""},
    {"[::1]:5000/x", "[::1]:5000/x:latest", ""},
    {"Host.example/x", "Host.example/x:latest", ""},
    {"a__b/c.d-e--f", "docker.io/a__b/c.d-e--f:latest", ""},
    {"x@sha256:" HEX, "docker.io/library/x", "sha256:" HEX},
    {"x:1@sha256:" HEX, "docker.io/library/x:1", "sha256:" HEX},
};

/* With a word that the sentence must have. */
static const struct {
    const char *text, *word;
} bad[] = {
    {"", "empty"},
    {"@sha256:" HEX, "empty"},
    {"Busybox", "lower-case"},
    {"a//b", "repository"},
    {"/a", "repository"},
    {"a/", "repository"},
    {"a.", "repository"},
    {"a___b", "repository"},
    {"quay.io/", "repository"},
    {"a:", "tag"},
    {"a:.x", "tag"},
    {"a:x/y:z w", "tag"},
    {"a:" LONG_NAME LONG_NAME, "tag"},
    {"a@sha256:12", "digest"},
    {"a@md5:" HEX, "digest"},
    {"a@sha256:" HEX "@sha256:" HEX, "digest"},
    {"-x.io/a", "registry"},
    {"x.io:port/a", "registry"},
    {"x.io:123456/a", "registry"},
    {"../../etc/passwd", "registry"},
    {"a b", "repository"},
    {"a\nb", "repository"},
    {"\xff", "repository"},
    {LONG_NAME "/" LONG_NAME "/" LONG_NAME "/" LONG_NAME, "too long"},
    {LONG_NAME LONG_NAME "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "too long"},
};

TEST(good_names_are_normalised)
{
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        ImageReference reference;
        char text[IMAGE_REFERENCE_SIZE];

        CHECK_EQ(image_reference_parse(good[i].text, &reference, NULL), 0);
        image_reference_print_tag(&reference, text);
        CHECK_STR(text, good[i].tagged);
        CHECK_STR(reference.digest, good[i].digest);
        /* What is printed reads as itself. */
        if (reference.tag[0]) {
            ImageReference again;

            CHECK_EQ(image_reference_parse(text, &again, NULL), 0);
            CHECK_STR(again.repository, reference.repository);
            CHECK_STR(again.registry, reference.registry);
        }
    }
}

TEST(bad_names_are_refused_with_the_reason)
{
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ImageReference reference;
        Failure why = {0};

        CHECK_EQ(image_reference_parse(bad[i].text, &reference, &why), -EINVAL);
        CHECK_EQ(why.code, FAILURE_INVALID_ARGUMENT);
        if (!strstr(why.text, bad[i].word))
            printf("  \"%s\": %s\n", bad[i].text, why.text);
        CHECK(strstr(why.text, bad[i].word));
    }
}

TEST(digests_are_printed_with_the_name)
{
    ImageReference reference;
    char text[IMAGE_REFERENCE_SIZE];

    CHECK_EQ(image_reference_parse("busybox:1", &reference, NULL), 0);
    image_reference_print_digest(&reference, "sha256:" HEX, text);
    CHECK_STR(text, "docker.io/library/busybox@sha256:" HEX);
}

TEST_MAIN
