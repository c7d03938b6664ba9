/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "podmon/stream/remotecommand.h"
#include "test.h"

TEST(channels)
{
    CHECK_EQ(channel_parse("stdin"), CHANNEL_STDIN);
    CHECK_EQ(channel_parse("resize"), CHANNEL_RESIZE);
    CHECK_EQ(channel_parse("STDIN"), -EINVAL);
    CHECK_EQ(channel_parse(""), -EINVAL);
}

TEST(statuses)
{
    char *argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
                    (char *)(uintptr_t) "exit 3\n\"\\\377\303\244"};
    Text text = {0};

    CHECK_EQ(status_success(4, &text), 0);
    CHECK_STR(text.data, "{\"status\":\"Success\"}");
    text.size = 0;
    CHECK_EQ(status_exit(4, argv, 3, 3, &text), 0);
    CHECK_STR(text.data,
              "{\"status\":\"Failure\",\"message\":\"command terminated with non-zero exit code: "
              "error executing command [sh -c exit 3\\u000a\\\"\\\\\\ufffd\303\244], exit code 3\","
              "\"reason\":\"NonZeroExitCode\",\"details\":{\"causes\":[{\"reason\":\"ExitCode\","
              "\"message\":\"3\"}]}}");
    text.size = 0;
    CHECK_EQ(status_exit(4, argv, 3, 0, &text), 0);
    CHECK_STR(text.data, "{\"status\":\"Success\"}");
    text.size = 0;
    CHECK_EQ(status_failure(4, "error executing command in container: no", &text), 0);
    CHECK_STR(text.data,
              "{\"status\":\"Failure\",\"message\":\"Internal error occurred: error "
              "executing command in container: no\",\"reason\":\"InternalError\","
              "\"code\":500}");
    text_done(&text);
}

TEST(statuses_before_json)
{
    char *argv[] = {(char *)(uintptr_t) "false"};
    Text text = {0};

    CHECK_EQ(status_success(3, &text), 0);
    CHECK_EQ(status_exit(3, argv, 1, 0, &text), 0);
    CHECK_EQ(text.size, 0);
    CHECK_EQ(status_exit(3, argv, 1, 1, &text), 0);
    CHECK_STR(text.data,
              "command terminated with non-zero exit code: error executing command "
              "[false], exit code 1");
    text_done(&text);
}

TEST(bad_utf8_is_replaced)
{
    static const char *const texts[] = {
        "\200", "\300\200",     "\355\240\200",     "\364\220\200\200",
        "\303", "\340\200\200", "\360\200\200\200", "\377"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        Text text = {0};

        CHECK_EQ(status_failure(4, texts[i], &text), 0);
        CHECK(text_is_printable(text.data));
        CHECK(strstr(text.data, "\\ufffd"));
        text_done(&text);
    }
}

typedef struct Case {
    const char *text;
    int width, height; /* 0: none */
} Case;

TEST(sizes)
{
    static const Case cases[] = {
        {"{\"Width\":80,\"Height\":24}\n", 80, 24},
        {"{\"width\":80,\"HEIGHT\":24,\"more\":1}", 80, 24},
        {"{\"Width\":1,\"Height\":2}{\"Width\":3,\"Height\":4}", 3, 4},
        {"{\"Width\":1,\"Height\":2}\n\n {\"Width\":0,\"Height\":4}", 1, 2},
        {"{\"Width\":0,\"Height\":0}", 0, 0},
        {"{\"Width\":65536,\"Height\":1}", 0, 0},
        {"{\"Width\":-1,\"Height\":1}", 0, 0},
        {"{\"Width\":\"80\",\"Height\":24}", 0, 0},
        {"{}", 0, 0},
        {"garbage{\"Width\":80,\"Height\":24}", 0, 0},
        {"{\"Width\":80,\"Height\":24", 0, 0},
        {"{]}{\"Width\":80,\"Height\":24}", 0, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        ResizeReader whole = {0}, split = {0};
        TerminalSize size = {0}, last = {0};
        const uint8_t *bytes = (const uint8_t *)cases[i].text;

        CHECK_EQ(resize_read(&whole, bytes, strlen(cases[i].text), &size), cases[i].width > 0);
        CHECK_EQ(size.width, cases[i].width);
        CHECK_EQ(size.height, cases[i].height);
        for (; *bytes; bytes++)
            (void)resize_read(&split, bytes, 1, &last);
        CHECK_EQ(last.width, cases[i].width);
        CHECK_EQ(last.height, cases[i].height);
    }
}

TEST(endless_size)
{
    ResizeReader reader = {0};
    TerminalSize size;

    for (int i = 0; i < 10000; i++)
        CHECK(!resize_read(&reader, (const uint8_t *)"{", 1, &size));
    CHECK(reader.is_broken);
}

TEST_MAIN
