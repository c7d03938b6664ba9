/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/identity.h"
#include "test.h"

static const char passwd[] =
    "root:x:0:0:root:/root:/bin/sh\n"
    "# a comment\n"
    "daemon:x:1:5:daemon:/usr/sbin:/bin/false\n"
    "user:x:1000:1001::/home/user:/bin/sh\n"
    "twin:x:1000:1002::/home/twin:/bin/sh\n"
    "broken:x:abc:0::/:/bin/sh\n"
    "overflow:x:4294967296:0::/:/bin/sh\n"
    "minus:x:-1:0::/:/bin/sh\n"
    "short:x:7\n"
    "\n"
    "evil:x:1003:1003::/home/e\x01vil:/bin/sh\n"
    "relative:x:1004:1004::home:/bin/sh\n"
    "007:x:1234:1234::/bond:/bin/sh\n"
    "last:x:1005:1005::/home/last:/bin/sh";
static const char group[] =
    "root:x:0:\n"
    "five:x:5:daemon\n"
    "users:x:1001:\n"
    "wheel:x:10:root,user\n"
    "audio:x:29:useradd,user\n"
    "video:x:44:usera,suser\n"
    "dup:x:10:user\n"
    "huge:x:4294967297:user\n";

static int resolve(const char *user, const char *group_name, Identity *ret, Failure *why)
{
    Podmon__UserPlan plan = PODMON__USER_PLAN__INIT;

    plan.user = (char *)(uintptr_t)user;
    plan.group = (char *)(uintptr_t)group_name;
    return identity_resolve(&plan, passwd, group, ret, why);
}

typedef struct Case {
    const char *user;
    long uid, gid; /* uid −1: refused */
} Case;

static const Case cases[] = {
    {"", 0, 0},
    {"0", 0, 0},
    {"root", 0, 0},
    {"1", 1, 5},
    {"2", 2, 0},
    {"1000", 1000, 1001},
    {"user", 1000, 1001},
    {"twin", 1000, 1002},
    {"daemon", 1, 5},
    {"last", 1005, 1005},
    {"evil", 1003, 1003},
    {"relative", 1004, 1004},
    {"user:root", 1000, 0},
    {"user:users", 1000, 1001},
    {"user:wheel", 1000, 10},
    {"user:1004", 1000, 1004},
    {"1000:1000", 1000, 1000},
    {"1000:0", 1000, 0},
    {"0:0", 0, 0},
    {"0:5", 0, 5},
    {"root:five", 0, 5},
    {"2147483647", 2147483647, 0},
    {"2147483647:2147483647", 2147483647, 2147483647},
    {"0:2147483647", 0, 2147483647},
    {"7", 7, 0},
    {"1001", 1001, 0},
    {"65534", 65534, 0},
    {"65535:65535", 65535, 65535},
    {":5", 0, 5},
    {":five", 0, 5},
    {"00", 0, 0},
    {"01", 1, 5},
    {"0001000", 1000, 1001},
    /* A name of digits is a number all the same. */
    {"007", 7, 0},
    {"2147483648", -1, 0},
    {"4294967295", -1, 0},
    {"4294967296", -1, 0},
    {"4294968296", -1, 0},
    {"18446744073709551615", -1, 0},
    {"18446744073709551616", -1, 0},
    {"18446744073709552616", -1, 0},
    {"99999999999999999999999999999999999999", -1, 0},
    {"-1", -1, 0},
    {"-0", -1, 0},
    {"+1", -1, 0},
    {"+0", -1, 0},
    {"--1", -1, 0},
    {"-", -1, 0},
    {"+", -1, 0},
    {" 1", -1, 0},
    {"1 ", -1, 0},
    {"\t1", -1, 0},
    {"1\n", -1, 0},
    {"1.0", -1, 0},
    {"1e3", -1, 0},
    {"0x0", -1, 0},
    {"0x1", -1, 0},
    {"0b1", -1, 0},
    {"1_000", -1, 0},
    {"1,000", -1, 0},
    {"1a", -1, 0},
    {"a1", -1, 0},
    {"nobody", -1, 0},
    {"Root", -1, 0},
    {"ROOT", -1, 0},
    {"root ", -1, 0},
    {" root", -1, 0},
    {"roo", -1, 0},
    {"roott", -1, 0},
    {"root\n", -1, 0},
    {"broken", -1, 0},
    {"overflow", -1, 0},
    {"minus", -1, 0},
    {"short", -1, 0},
    {"# a comment", -1, 0},
    {"x", -1, 0},
    {"/bin/sh", -1, 0},
    {"*", -1, 0},
    {"%s", -1, 0},
    {"..", -1, 0},
    {"../root", -1, 0},
    {"root:", -1, 0},
    {":", -1, 0},
    {"::", -1, 0},
    {"0:", -1, 0},
    {"0::0", -1, 0},
    {"0:0:0", -1, 0},
    {"root:x:0", -1, 0},
    {"user:nogroup", -1, 0},
    {"user:-1", -1, 0},
    {"user:+1", -1, 0},
    {"user: 1", -1, 0},
    {"user:2147483648", -1, 0},
    {"user:4294967296", -1, 0},
    {"user:4294967295", -1, 0},
    {"user:0x0", -1, 0},
    {"user:huge", -1, 0},
    {"user:wheel ", -1, 0},
    {"user:Wheel", -1, 0},
    {"1000:nogroup", -1, 0},
    {"-1:0", -1, 0},
    {"4294967296:0", -1, 0},
    {"0:4294967296", -1, 0},
    {"0:18446744073709551616", -1, 0},
    {"\xff", -1, 0},
    {"r\xc3\xb6\xc3\xb6t", -1, 0},
    {"\x7f", -1, 0},
    {"\x01", -1, 0},
    {"root\x01", -1, 0},
};

TEST(user_strings)
{
    CHECK(sizeof(cases) / sizeof(cases[0]) >= 100);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        Failure why = {FAILURE_NONE, ""};
        Identity identity;
        int r = resolve(cases[i].user, "", &identity, &why);

        if ((r < 0) != (cases[i].uid < 0))
            printf("  user \"%s\": %d, %s\n", cases[i].user, r, why.text);
        CHECK_EQ(r < 0, cases[i].uid < 0);
        if (r < 0) {
            CHECK_EQ(why.code, FAILURE_INVALID_ARGUMENT);
            continue;
        }
        if (identity.uid != cases[i].uid || identity.gid != cases[i].gid)
            printf("  user \"%s\"\n", cases[i].user);
        CHECK_EQ(identity.uid, cases[i].uid);
        CHECK_EQ(identity.gid, cases[i].gid);
    }
}

TEST(the_group_of_the_plan_wins)
{
    Identity identity;

    CHECK_EQ(resolve("user:wheel", "five", &identity, NULL), 0);
    CHECK_EQ(identity.gid, 5);
    CHECK_EQ(resolve("user", "77", &identity, NULL), 0);
    CHECK_EQ(identity.gid, 77);
}

TEST(home_is_the_images_or_the_root)
{
    Identity identity;

    CHECK_EQ(resolve("user", "", &identity, NULL), 0);
    CHECK_STR(identity.home, "/home/user");
    CHECK_EQ(resolve("4711", "", &identity, NULL), 0);
    CHECK_STR(identity.home, "/");
    CHECK_EQ(resolve("evil", "", &identity, NULL), 0);
    CHECK_STR(identity.home, "/");
    CHECK_EQ(resolve("relative", "", &identity, NULL), 0);
    CHECK_STR(identity.home, "/");
}

TEST(groups_are_merged_or_strict)
{
    uint32_t supplemental[] = {2000, 10, 2000};
    Podmon__UserPlan plan = PODMON__USER_PLAN__INIT;
    Identity identity;

    plan.user = (char *)(uintptr_t) "user";
    plan.supplemental_groups = supplemental;
    plan.n_supplemental_groups = 3;
    CHECK_EQ(identity_resolve(&plan, passwd, group, &identity, NULL), 0);
    CHECK_EQ(identity.groups_count, 4);
    CHECK_EQ(identity.groups[0], 1001);
    CHECK_EQ(identity.groups[1], 2000);
    CHECK_EQ(identity.groups[2], 10);
    CHECK_EQ(identity.groups[3], 29);
    plan.policy = PODMON__GROUPS_POLICY__GROUPS_STRICT;
    CHECK_EQ(identity_resolve(&plan, passwd, group, &identity, NULL), 0);
    CHECK_EQ(identity.groups_count, 3);
    /* By number, the groups are those of the name that passwd has for it. */
    plan.policy = PODMON__GROUPS_POLICY__GROUPS_MERGE;
    plan.user = (char *)(uintptr_t) "1000";
    plan.n_supplemental_groups = 0;
    CHECK_EQ(identity_resolve(&plan, passwd, group, &identity, NULL), 0);
    CHECK_EQ(identity.groups_count, 3);
    supplemental[0] = UINT32_MAX;
    plan.n_supplemental_groups = 1;
    CHECK(identity_resolve(&plan, passwd, group, &identity, NULL) < 0);
}

TEST(without_files_numbers_work_and_names_do_not)
{
    Podmon__UserPlan plan = PODMON__USER_PLAN__INIT;
    Failure why;
    Identity identity;

    CHECK_EQ(identity_resolve(&plan, NULL, NULL, &identity, NULL), 0);
    CHECK_EQ(identity.uid, 0);
    CHECK_EQ(identity.groups_count, 1);
    plan.user = (char *)(uintptr_t) "12:34";
    CHECK_EQ(identity_resolve(&plan, NULL, NULL, &identity, NULL), 0);
    CHECK_EQ(identity.gid, 34);
    plan.user = (char *)(uintptr_t) "root";
    CHECK(identity_resolve(&plan, NULL, NULL, &identity, &why) < 0);
    CHECK_STR(why.text, "user \"root\" is not in the image's /etc/passwd");
    plan.user = (char *)(uintptr_t) "12";
    plan.must_exist = true;
    CHECK(identity_resolve(&plan, passwd, group, &identity, &why) < 0);
    CHECK_STR(why.text, "user 12 is not in the image's /etc/passwd");
}

TEST_MAIN
