/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/options.h"

#include "test.h"

enum { WORDS_MAX = 8 };

static int parse(const char *const *words, Options *ret, Failure *why)
{
    char *argv[WORDS_MAX + 2] = {(char *)"podmon-dispatcher"};
    int argc = 1;

    for (; words[argc - 1]; argc++)
        argv[argc] = (char *)words[argc - 1];
    return options_parse(argc, argv, ret, why);
}

TEST(nothing)
{
    Options options;
    Failure why;

    CHECK_EQ(parse((const char *[]){NULL}, &options, &why), 0);
    CHECK_EQ(options.action, OPTIONS_RUN);
    CHECK(!options.listen && !options.run_dir && !options.root_dir && !options.config);
}

TEST(all_paths)
{
    Options options;
    Failure why;

    CHECK_EQ(
        parse((const char *[]){"--listen", "/a", "--run=/b", "--root", "/c", "--config=/d", NULL},
              &options, &why),
        0);
    CHECK_STR(options.listen, "/a");
    CHECK_STR(options.run_dir, "/b");
    CHECK_STR(options.root_dir, "/c");
    CHECK_STR(options.config, "/d");
}

TEST(help_and_version)
{
    Options options;
    Failure why;

    CHECK_EQ(parse((const char *[]){"--help", NULL}, &options, &why), 0);
    CHECK_EQ(options.action, OPTIONS_HELP);
    CHECK_EQ(parse((const char *[]){"--version", NULL}, &options, &why), 0);
    CHECK_EQ(options.action, OPTIONS_VERSION);
}

TEST(misuse_is_named)
{
    static const struct {
        const char *words[3];
        const char *text;
    } cases[] = {
        {{"--listen", "s.sock"}, "--listen is \"s.sock\", must be an absolute path"},
        {{"--run", ""}, "--run is \"\", must be an absolute path"},
        {{"--root"}, "--root needs a value"},
        {{"--frobnicate"}, "--frobnicate is not an option"},
        {{"--help=yes"}, "--help=yes is not an option"},
        {{"serve"}, "\"serve\" is not an option"},
        {{"-x"}, "-x is not an option"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        Options options;
        Failure why;

        CHECK(parse(cases[i].words, &options, &why) < 0);
        CHECK_EQ(why.code, FAILURE_INVALID_ARGUMENT);
        CHECK_STR(why.text, cases[i].text);
    }
}

TEST_MAIN
