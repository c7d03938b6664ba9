/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/capability_names.h"

#include <errno.h>
#include <linux/capability.h>

#include "test/unit/test.h"

TEST(names_with_and_without_prefix_in_either_case)
{
    CHECK_EQ(capability_names_find("CAP_CHOWN"), CAP_CHOWN);
    CHECK_EQ(capability_names_find("CHOWN"), CAP_CHOWN);
    CHECK_EQ(capability_names_find("net_admin"), CAP_NET_ADMIN);
    CHECK_EQ(capability_names_find("cap_Sys_Admin"), CAP_SYS_ADMIN);
    CHECK_EQ(capability_names_find("CAP_CHECKPOINT_RESTORE"), CAP_CHECKPOINT_RESTORE);
}

TEST(what_is_no_capability)
{
    CHECK_EQ(capability_names_find(""), -ENOENT);
    CHECK_EQ(capability_names_find("CAP_"), -ENOENT);
    CHECK_EQ(capability_names_find("ALL"), -ENOENT);
    CHECK_EQ(capability_names_find("CAP_CAP_CHOWN"), -ENOENT);
    CHECK_EQ(capability_names_find("CHOWN "), -ENOENT);
    CHECK_EQ(capability_names_find("21"), -ENOENT);
}

TEST(every_name_leads_back_to_its_number)
{
    for (int i = 0; i <= CAP_LAST_CAP; i++) {
        CHECK(capability_names_get(i));
        CHECK_EQ(capability_names_find(capability_names_get(i)), i);
    }
    CHECK(!capability_names_get(CAP_LAST_CAP + 1));
    CHECK(!capability_names_get(-1));
}

TEST(sets)
{
    CHECK_EQ(capability_names_all(), (UINT64_C(1) << (CAP_LAST_CAP + 1)) - 1);
    CHECK_EQ(__builtin_popcountll(capability_names_default()), 14);
    CHECK_EQ(capability_names_default(), 0xa80425fb);
}

TEST_MAIN
