/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "podmon/stream/portforward.h"
#include "test.h"

typedef struct Case {
    const char *type, *port, *request;
    int result;
    const char *expected; /* request */
} Case;

static SpdyHeaders headers;

static void add(const char *name, const char *value)
{
    if (value)
        headers.headers[headers.count++] = (SpdyHeader){name, value};
}

TEST(streams)
{
    static const Case cases[] = {
        {"error", "80", "7", 0, "7"},
        {"data", "65535", "x", 0, "x"},
        {"error", "80", NULL, 0, "5"},
        {"data", "80", NULL, 0, "3"},
        {"data", "0", "0", -EINVAL, NULL},
        {"data", "65536", "0", -EINVAL, NULL},
        {"data", "70000", "0", -EINVAL, NULL},
        {"data", "-1", "0", -EINVAL, NULL},
        {"data", "+80", "0", -EINVAL, NULL},
        {"data", "abc", "0", -EINVAL, NULL},
        {"data", "", "0", -EINVAL, NULL},
        {"data", NULL, "0", -EINVAL, NULL},
        {"x", "80", "0", -EINVAL, NULL},
        {"", "80", "0", -EINVAL, NULL},
        {NULL, "80", "0", -EINVAL, NULL},
        {"data", "80", "0123456789012345678901234567890123456789012345678901234567890123", -EINVAL,
         NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        PortStream stream;

        headers.count = 0;
        add("streamtype", cases[i].type);
        add("port", cases[i].port);
        add("requestid", cases[i].request);
        CHECK_EQ(port_stream_parse(5, &headers, &stream), cases[i].result);
        if (cases[i].result == 0)
            CHECK_STR(stream.request, cases[i].expected);
    }
}

TEST_MAIN
