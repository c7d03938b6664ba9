/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cri/cdi.h"

#include <string.h>

#include "test/unit/test.h"

static const char EXAMPLE[] =
    "{\"cdiVersion\": \"0.6.0\", \"kind\": \"vendor.com/class\","
    " \"containerEdits\": {\"env\": [\"ALL=1\"]},"
    " \"devices\": [{\"name\": \"one\", \"containerEdits\": {"
    "   \"env\": [\"ONE=1\"],"
    "   \"deviceNodes\": [{\"path\": \"/dev/one\", \"hostPath\": \"/dev/null\","
    "     \"permissions\": \"rw\"}, {\"path\": \"/dev/zero\"}],"
    "   \"mounts\": [{\"hostPath\": \"/usr/lib\", \"containerPath\": \"/vendor\","
    "     \"options\": [\"ro\", \"nosuid\", \"rbind\"]}],"
    "   \"additionalGids\": [44]}},"
    " {\"name\": \"hooked\", \"containerEdits\": {\"hooks\": [{\"hookName\": \"x\"}]}},"
    " {\"name\": \"bad\", \"containerEdits\": {\"deviceNodes\": [{\"path\": \"dev/x\"}]}}]}";

static int apply(Arena *arena, const char *text, const char *name, Podmon__ContainerSpec *spec,
                 Failure *why)
{
    cJSON *json = cJSON_Parse(text);
    int r = cdi_apply_file(arena, json, name, spec, why);

    cJSON_Delete(json);
    return r;
}

TEST(what_a_device_needs)
{
    AUTO_ARENA Arena *arena = arena_new();
    Podmon__ContainerSpec spec = PODMON__CONTAINER_SPEC__INIT;
    Podmon__UserPlan user = PODMON__USER_PLAN__INIT;
    Failure why;

    spec.user = &user;
    CHECK_EQ(apply(arena, EXAMPLE, "vendor.com/class=one", &spec, &why), 1);
    CHECK_EQ(spec.n_env, 2);
    CHECK_STR(spec.env[1], "ONE=1");
    CHECK_EQ(spec.n_devices, 2);
    CHECK_STR(spec.devices[0]->host_path, "/dev/null");
    CHECK_STR(spec.devices[0]->permissions, "rw");
    CHECK_STR(spec.devices[1]->host_path, "/dev/zero");
    CHECK_STR(spec.devices[1]->permissions, "rwm");
    CHECK_EQ(spec.n_mounts, 1);
    CHECK_STR(spec.mounts[0]->destination, "/vendor");
    CHECK(spec.mounts[0]->read_only && spec.mounts[0]->no_suid && !spec.mounts[0]->no_exec);
    CHECK_EQ(user.n_supplemental_groups, 1);
    CHECK_EQ(user.supplemental_groups[0], 44);
}

TEST(other_devices_and_other_texts)
{
    AUTO_ARENA Arena *arena = arena_new();
    Podmon__ContainerSpec spec = PODMON__CONTAINER_SPEC__INIT;
    Failure why;

    CHECK_EQ(apply(arena, EXAMPLE, "vendor.com/class=two", &spec, &why), 0);
    CHECK_EQ(apply(arena, EXAMPLE, "vendor.com/other=one", &spec, &why), 0);
    CHECK_EQ(apply(arena, EXAMPLE, "vendor.com/class", &spec, &why), 0);
    CHECK_EQ(apply(arena, "", "vendor.com/class=one", &spec, &why), 0);
    CHECK_EQ(apply(arena, "[1]", "vendor.com/class=one", &spec, &why), 0);
    CHECK_EQ(spec.n_env, 0);
}

TEST(refusals)
{
    AUTO_ARENA Arena *arena = arena_new();
    Podmon__ContainerSpec spec = PODMON__CONTAINER_SPEC__INIT;
    Failure why = {0};

    CHECK(apply(arena, EXAMPLE, "vendor.com/class=hooked", &spec, &why) < 0);
    CHECK_EQ((int)why.code, (int)FAILURE_UNIMPLEMENTED);
    CHECK(strstr(why.text, "hooks"));
    CHECK(apply(arena, EXAMPLE, "vendor.com/class=bad", &spec, &why) < 0);
    CHECK_EQ((int)why.code, (int)FAILURE_INVALID_ARGUMENT);
    CHECK(strstr(why.text, "dev/x"));
}

TEST_MAIN
