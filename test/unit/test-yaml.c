/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cri/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "test/unit/test.h"

/* The JSON, or the number of the error. */
static const char *parsed(const char *text)
{
    static char result[4096];
    cJSON *json = NULL;
    char *printed;
    int r = yaml_parse(text, &json);

    if (r < 0) {
        (void)snprintf(result, sizeof(result), "%d%s", -r, json ? " with a value" : "");
        return result;
    }
    printed = cJSON_PrintUnformatted(json);
    (void)snprintf(result, sizeof(result), "%s", printed);
    free(printed);
    cJSON_Delete(json);
    return result;
}

TEST(values)
{
    CHECK_STR(parsed("a: 1\nb: [x, 'y', \"2\"]\n"), "{\"a\":1,\"b\":[\"x\",\"y\",\"2\"]}");
    CHECK_STR(parsed("- true\n- false\n- null\n- yes\n- ~\n-\n"),
              "[true,false,null,\"yes\",\"~\",null]");
    CHECK_STR(parsed("# first\n---\nkind: vendor.com/class\ncdiVersion: 0.6.0\n"),
              "{\"kind\":\"vendor.com/class\",\"cdiVersion\":\"0.6.0\"}");
    CHECK_STR(parsed("a: |\n  two\n  lines\n"), "{\"a\":\"two\\nlines\\n\"}");
    CHECK_STR(parsed("{\"json\": [\"is\", 2]}"), "{\"json\":[\"is\",2]}");
    CHECK_STR(parsed("one\n---\ntwo\n"), "\"one\"");
    CHECK_STR(parsed("a: {}\nb: []\nc: ''\n"), "{\"a\":{},\"b\":[],\"c\":\"\"}");
    CHECK_STR(parsed("[5.5, 0x10, 1e3, '[]']"), "[5.5,\"0x10\",1000,\"[]\"]");
}

TEST(refusals)
{
    char deep[128];

    CHECK_STR(parsed(""), "22");
    CHECK_STR(parsed("a: [1"), "22");
    CHECK_STR(parsed("a: 1\n\tb: 2\n"), "22");
    CHECK_STR(parsed("a: 1\na: 2\n"), "22");
    CHECK_STR(parsed("? [a]\n: 1\n"), "22");
    CHECK_STR(parsed("a: \"\\0\"\n"), "22");
    CHECK_STR(parsed("a: &x [1]\nb: [*x, *x]\n"), "22");
    memset(deep, '[', 40);
    memset(deep + 40, ']', 40);
    deep[80] = '\0';
    CHECK_STR(parsed(deep), "22");
    CHECK(strlen(parsed(deep + 20)) > 0);
}

TEST_MAIN
