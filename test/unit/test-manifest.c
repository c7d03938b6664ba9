/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/manifest.h"

#include <errno.h>
#include <stdlib.h>

#include "dispatcher/image/config.h"
#include "shared/cleanup.h"
#include "shared/text.h"
#include "test/unit/test.h"

#define A "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define CONFIG "\"config\":{\"digest\":\"" A "\",\"size\":7}"
#define LAYERS "\"layers\":[{\"digest\":\"" B "\",\"size\":9,\"mediaType\":\"t\"}]"
#define V2 "{\"schemaVersion\":2,"
#define DIFF "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" A "\"]}"

static int parse(const char *text, Manifest *ret, Failure *why)
{
    return manifest_parse(text, strlen(text), ret, why);
}

TEST(a_manifest_is_read)
{
    Manifest manifest;

    CHECK_EQ(parse(V2 CONFIG "," LAYERS ",\"annotations\":{\"k\":\"v\"}}", &manifest, NULL), 0);
    CHECK(!manifest.is_index);
    CHECK_EQ(manifest.config.size, 7);
    CHECK_EQ(manifest.entries_count, 1);
    CHECK_EQ(manifest.entries[0].size, 9);
    CHECK_STR(manifest.entries[0].media_type, "t");
    CHECK_STR(manifest.annotations[0]->value, "v");
    manifest_done(&manifest);
}

static const struct {
    const char *text, *word;
} bad[] = {
    {"", "JSON"},
    {"{}x", "JSON"},
    {"[]", "object"},
    {"{}", "schemaVersion"},
    {"{\"schemaVersion\":1,\"fsLayers\":[]}", "schemaVersion 1"},
    {V2 "\"manifests\":[]," LAYERS "}", "both"},
    {V2 "\"manifests\":[]," CONFIG "}", "both"},
    {V2 CONFIG "}", "neither"},
    {V2 CONFIG "," CONFIG "," LAYERS "}", "twice"},
    {V2 "\"manifests\":{}}", "list"},
    {V2 "\"manifests\":[1]}", "descriptor"},
    {V2 "\"manifests\":[{\"digest\":\"../x\",\"size\":1}]}", "digest"},
    {V2 "\"manifests\":[{\"digest\":\"" A "\"}]}", "size"},
    {V2 "\"manifests\":[{\"digest\":\"" A "\",\"size\":-1}]}", "size"},
    {V2 "\"manifests\":[{\"digest\":\"" A "\",\"size\":1.5}]}", "size"},
    {V2 "\"manifests\":[{\"digest\":\"" A "\",\"size\":1e300}]}", "size"},
    {V2 "\"x\":\"a\\u0000b\"}", "NUL"},
    {V2 "\"x\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}", "deeper"},
};

TEST(bad_manifests_are_refused_with_the_reason)
{
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        Manifest manifest;
        Failure why = {0};

        CHECK(parse(bad[i].text, &manifest, &why) < 0);
        if (!strstr(why.text, bad[i].word))
            printf("  %s: %s\n", bad[i].text, why.text);
        CHECK(strstr(why.text, bad[i].word));
    }
}

TEST(too_much_is_refused)
{
    CLEANUP(text_done) Text text = {0};
    Manifest manifest;
    Failure why;

    (void)text_add(&text, V2 "\"manifests\":[");
    for (int i = 0; i <= MANIFEST_ENTRIES_MAX; i++)
        (void)text_print(&text, "%s{\"digest\":\"" A "\",\"size\":1}", i ? "," : "");
    (void)text_add(&text, "]}");
    CHECK(parse(text.data, &manifest, &why) < 0);
    CHECK(strstr(why.text, "limit"));
    while (text.size <= MANIFEST_SIZE_MAX)
        (void)text_print(&text, "%4096s", "");
    CHECK_EQ(parse(text.data, &manifest, &why), -EFBIG);
}

TEST(the_entry_for_this_machine_is_chosen)
{
    static const char index[] =
        V2 "\"manifests\":[{\"digest\":\"" A
           "\",\"size\":1,\"platform\":{\"os\":\"plan9\"}},"
           "{\"digest\":\"" A
           "\",\"size\":2,\"platform\":{\"os\":\"linux\","
           "\"architecture\":\"vax\"}},{\"digest\":\"" B
           "\",\"size\":3,"
           "\"platform\":{\"os\":\"linux\"}},{\"digest\":\"" B "\",\"size\":4}]}";
    Manifest manifest;
    size_t chosen;
    Failure why;

    CHECK_EQ(parse(index, &manifest, NULL), 0);
    CHECK(manifest.is_index);
    CHECK_EQ(manifest_choose(&manifest, &chosen, NULL), 0);
    CHECK_EQ(manifest.entries[chosen].size, 3);
    manifest.entries_count = 2;
    CHECK_EQ(manifest_choose(&manifest, &chosen, &why), -ENOENT);
    CHECK(strstr(why.text, "linux/"));
    manifest.entries_count = 4;
    manifest_done(&manifest);
}

TEST(a_configuration_is_read)
{
    static const char text[] =
        "{\"os\":\"linux\",\"config\":{\"Env\":[\"A=1\",\"B=\"],\"Entrypoint\":[\"/e\"],"
        "\"Cmd\":null,\"WorkingDir\":\"/w\",\"User\":\"u:g\",\"StopSignal\":\"SIGQUIT\","
        "\"Volumes\":{\"/v\":{}},\"Labels\":{\"l\":\"m\"}}," DIFF "}";
    ImageConfig config;

    CHECK_EQ(image_config_parse(text, strlen(text), &config, NULL), 0);
    CHECK_EQ(config.diff_ids_count, 1);
    CHECK_EQ(config.record->n_env, 2);
    CHECK_STR(config.record->entrypoint[0], "/e");
    CHECK_EQ(config.record->n_command, 0);
    CHECK_STR(config.record->working_dir, "/w");
    CHECK_STR(config.record->user, "u:g");
    CHECK_STR(config.record->stop_signal, "SIGQUIT");
    CHECK_STR(config.record->volumes[0], "/v");
    CHECK_STR(config.record->labels[0]->value, "m");
    image_config_done(&config);
}

static const struct {
    const char *text, *word;
} bad_configs[] = {
    {"{\"os\":\"windows\"," DIFF "}", "windows"},
    {"{\"architecture\":\"vax\"," DIFF "}", "vax"},
    {"{}", "diff_ids"},
    {"{\"rootfs\":{\"diff_ids\":[]}}", "layers"},
    {"{\"rootfs\":{\"diff_ids\":[\"x\"]}}", "diff id"},
    {"{\"rootfs\":{\"diff_ids\":[5]}}", "diff id"},
    {"{\"config\":[]," DIFF "}", "config"},
    {"{\"config\":{\"Env\":[\"novalue\"]}," DIFF "}", "NAME=value"},
    {"{\"config\":{\"Cmd\":\"x\"}," DIFF "}", "Cmd"},
    {"{\"config\":{\"Cmd\":[{}]}," DIFF "}", "Cmd"},
    {"{\"config\":{\"Labels\":{\"a\":1}}," DIFF "}", "Labels"},
};

TEST(bad_configurations_are_refused_with_the_reason)
{
    for (size_t i = 0; i < sizeof(bad_configs) / sizeof(bad_configs[0]); i++) {
        ImageConfig config;
        Failure why = {0};

        CHECK(image_config_parse(bad_configs[i].text, strlen(bad_configs[i].text), &config, &why) <
              0);
        if (!strstr(why.text, bad_configs[i].word))
            printf("  %s: %s\n", bad_configs[i].text, why.text);
        CHECK(strstr(why.text, bad_configs[i].word));
    }
}

TEST_MAIN
