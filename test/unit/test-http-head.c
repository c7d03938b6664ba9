/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "dispatcher/stream/route.h"
#include "shared/http_head.h"
#include "test.h"

#define TOKEN "0123456789abcdef0123456789abcdef0123456789abcdef01234567"

static char buffer[HTTP_HEAD_MAX + 64];

static int parse(const char *text, HttpHead *ret)
{
    size_t size = strlen(text);

    memcpy(buffer, text, size); /* Without its NUL: nobody may look behind the size. */
    memset(buffer + size, 'x', 16);
    return http_head_parse(buffer, size, ret);
}

TEST(request_of_a_client)
{
    const char *text =
        "POST /exec/abc HTTP/1.1\r\nHost: node:10250\r\nUPGRADE:  SPDY/3.1 \r\n"
        "X-Empty:\r\n\r\nrest";
    HttpHead head;

    CHECK_EQ(parse(text, &head), 1);
    CHECK_STR(head.method, "POST");
    CHECK_STR(head.target, "/exec/abc");
    CHECK_EQ(head.headers_count, 3);
    CHECK_STR(http_head_get(&head, "upgrade"), "SPDY/3.1");
    CHECK_STR(http_head_get(&head, "x-empty"), "");
    CHECK(!http_head_get(&head, "connection"));
    CHECK(http_head_contains(&head, "upgrade", "spdy"));
    CHECK_EQ(head.size, strlen(text) - strlen("rest"));
}

TEST(lines_that_end_in_lf_alone)
{
    HttpHead head;

    CHECK_EQ(parse("GET / HTTP/1.1\nA: b\n\n", &head), 1);
    CHECK_STR(http_head_get(&head, "a"), "b");
}

TEST(every_beginning_is_not_yet_whole)
{
    const char *text = "GET / HTTP/1.1\r\nA: b\r\n\r\n";
    HttpHead head;

    for (size_t size = 0; size < strlen(text); size++) {
        memcpy(buffer, text, size);
        CHECK_EQ(http_head_parse(buffer, size, &head), 0);
    }
}

TEST(what_is_no_request)
{
    static const char *const texts[] = {
        "\r\n",
        "GET\r\n\r\n",
        "GET /\r\n\r\n",
        "GET  HTTP/1.1\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "GET / x HTTP/1.1\r\n\r\n",
        "G\tT / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\n: b\r\n\r\n",
        "GET / HTTP/1.1\r\nA : b\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
        "GET / HTTP/1.1\r\nA: \x01\r\n\r\n",
        "\x80\x03\x01\n\n",
    };
    HttpHead head;

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        CHECK_EQ(parse(texts[i], &head), -EBADMSG);
}

TEST(bounds)
{
    HttpHead head;
    char *end = buffer;

    memset(buffer, 'a', HTTP_HEAD_MAX);
    CHECK_EQ(http_head_parse(buffer, HTTP_HEAD_MAX - 1, &head), 0);
    CHECK_EQ(http_head_parse(buffer, HTTP_HEAD_MAX, &head), -E2BIG);
    end += sprintf(end, "GET / HTTP/1.1\r\n");
    for (int i = 0; i <= HTTP_HEADERS_MAX; i++)
        end += sprintf(end, "A: b\r\n");
    end += sprintf(end, "\r\n");
    CHECK_EQ(http_head_parse(buffer, (size_t)(end - buffer), &head), -E2BIG);
}

TEST(words_of_several_headers_in_their_order)
{
    static const char *const expected[] = {"v5", "v4", "v3", "v2"};
    size_t position = 0, count = 0;
    HttpHead head;
    HttpWord word;

    CHECK_EQ(
        parse("GET / HTTP/1.1\r\nP: v5\r\nX: no\r\np: , v4 ,v3,,\r\nP:\r\nP: ,\r\nP:\tv2\r\n\r\n",
              &head),
        1);
    while (http_head_next_word(&head, "p", &position, &word)) {
        CHECK(count < 4);
        CHECK_EQ(word.length, 2);
        CHECK(strncmp(word.text, expected[count++], 2) == 0);
    }
    CHECK_EQ(count, 4);
}

typedef struct RouteCase {
    const char *line, *headers;
    int status;
} RouteCase;

TEST(routes)
{
    static const RouteCase cases[] = {
        {"POST /exec/" TOKEN, "", 0},
        {"GET /attach/" TOKEN, "Content-Length: 0\r\n", 0},
        {"POST /portforward/" TOKEN, "", 0},
        {"PUT /exec/" TOKEN, "", 405},
        {"DELETE /exec/" TOKEN, "", 405},
        {"POST /exec/" TOKEN, "Content-Length: 1\r\n", 400},
        {"POST /exec/" TOKEN, "Transfer-Encoding: chunked\r\n", 400},
        {"POST /", "", 404},
        {"POST /exec", "", 404},
        {"POST /exec/", "", 404},
        {"POST /exec/0123", "", 404},
        {"POST /exec/../../etc/passwd", "", 404},
        {"POST /exec/" TOKEN "/more", "", 404},
        {"POST /exec/" TOKEN "?query", "", 404},
        {"POST /exec/" TOKEN TOKEN TOKEN, "", 404},
        {"POST /other/" TOKEN, "", 404},
        {"POST exec/" TOKEN, "", 404},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char text[512];
        HttpHead head;
        StreamRoute route;

        (void)snprintf(text, sizeof(text), "%s HTTP/1.1\r\n%s\r\n", cases[i].line,
                       cases[i].headers);
        CHECK_EQ(parse(text, &head), 1);
        CHECK_EQ(stream_route_parse(&head, &route), cases[i].status);
        if (cases[i].status == 0)
            CHECK_STR(route.pod, "0123456789abcdef01234567");
    }
}

TEST_MAIN
