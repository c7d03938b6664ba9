/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/digest.h"

#include <errno.h>

#include "test/unit/test.h"

#define EMPTY "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define EMPTY_512                                                                                  \
    "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff83"  \
    "18d2877eec2f63b931bd47417a81a538327af927da3e"

TEST(what_is_parsed_is_printed_again)
{
    static const char *const texts[] = {EMPTY, EMPTY_512};

    for (size_t i = 0; i < 2; i++) {
        char text[DIGEST_TEXT_SIZE];
        Digest digest;

        CHECK_EQ(digest_parse(texts[i], &digest), 0);
        digest_print(&digest, text);
        CHECK_STR(text, texts[i]);
    }
}

TEST(all_else_is_refused)
{
    static const char *const texts[] = {
        "",
        "sha256",
        "sha256:",
        "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
        "sha256:../../../../../../../../../../../../../../../../../../../../etc/passwd",
        "sha512:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8550",
        " sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85/"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        Digest digest;

        CHECK_EQ(digest_parse(texts[i], &digest), -EINVAL);
    }
}

TEST(streams_hash_as_wholes_do)
{
    DigestStream *stream;
    Digest whole, parts;
    char text[DIGEST_TEXT_SIZE];

    CHECK_EQ(digest_of(DIGEST_SHA256, "", 0, &whole), 0);
    digest_print(&whole, text);
    CHECK_STR(text, EMPTY);
    CHECK_EQ(digest_of(DIGEST_SHA256, "abcdef", 6, &whole), 0);
    CHECK_EQ(digest_stream_new(DIGEST_SHA256, &stream), 0);
    CHECK_EQ(digest_stream_add(stream, "abc", 3), 0);
    CHECK_EQ(digest_stream_add(stream, "def", 3), 0);
    CHECK_EQ(digest_stream_finish(stream, &parts), 0);
    digest_stream_free(stream);
    CHECK(digest_equal(&whole, &parts));
}

TEST(chain_ids_are_those_of_the_specification)
{
    Digest low, diff, chain, expected;
    char text[2 * DIGEST_TEXT_SIZE], a[DIGEST_TEXT_SIZE], b[DIGEST_TEXT_SIZE];

    CHECK_EQ(digest_of(DIGEST_SHA256, "low", 3, &low), 0);
    CHECK_EQ(digest_of(DIGEST_SHA256, "diff", 4, &diff), 0);
    CHECK_EQ(digest_chain(NULL, &low, &chain), 0);
    CHECK(digest_equal(&chain, &low));
    CHECK_EQ(digest_chain(&low, &diff, &chain), 0);
    digest_print(&low, a);
    digest_print(&diff, b);
    (void)snprintf(text, sizeof(text), "%s %s", a, b);
    CHECK_EQ(digest_of(DIGEST_SHA256, text, strlen(text), &expected), 0);
    CHECK(digest_equal(&chain, &expected));
}

TEST_MAIN
