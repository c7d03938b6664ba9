/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "podmon/capabilities.h"
#include "test.h"

TEST(only_what_podmon_has_is_given)
{
    Podmon__SecurityPlan plan = PODMON__SECURITY_PLAN__INIT;
    CapabilitySets sets;

    plan.capabilities = 0xff;
    plan.ambient_capabilities = 0xf0f;
    sets = capabilities_plan(&plan, 0x3f);
    CHECK_EQ(sets.bounding, 0x3f);
    CHECK_EQ(sets.ambient, 0x0f);
    CHECK(sets.last >= CAP_CHECKPOINT_RESTORE);
    sets = capabilities_plan(NULL, UINT64_MAX);
    CHECK_EQ(sets.bounding, 0);
    CHECK_EQ(sets.ambient, 0);
}

static int read_sets(struct __user_cap_data_struct *ret)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

    return (int)syscall(SYS_capget, &header, ret);
}

/* 0, or the number of the check that failed. */
static int become_and_look(const CapabilitySets *sets, const Identity *identity)
{
    struct __user_cap_data_struct data[2];
    gid_t groups[4];
    uid_t ids[3];

    if (capabilities_become(sets, identity) < 0)
        return 1;
    if (read_sets(data) < 0 || data[0].permitted != (uint32_t)sets->bounding ||
        data[0].effective != data[0].permitted || data[0].inheritable != (uint32_t)sets->ambient ||
        data[1].permitted != 0)
        return 2;
    for (int i = 0; i <= sets->last; i++)
        if (prctl(PR_CAPBSET_READ, i) != (int)(sets->bounding >> i & 1) ||
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) != (int)(sets->ambient >> i & 1))
            return 3;
    if (getresuid(&ids[0], &ids[1], &ids[2]) < 0 || ids[0] != identity->uid ||
        ids[1] != identity->uid || ids[2] != identity->uid)
        return 4;
    if (getresgid(&ids[0], &ids[1], &ids[2]) < 0 || ids[0] != identity->gid ||
        ids[1] != identity->gid || ids[2] != identity->gid)
        return 5;
    return getgroups(4, groups) == (int)identity->groups_count ? 0 : 6;
}

TEST(a_child_becomes_somebody)
{
    static const Identity users[] = {
        {.uid = 1000, .gid = 1001, .groups = {1001, 5}, .groups_count = 2},
        {.uid = 0, .gid = 0},
    };

    if (geteuid() != 0)
        SKIP("needs root");
    for (size_t i = 0; i < 2; i++) {
        Podmon__SecurityPlan plan = PODMON__SECURITY_PLAN__INIT;
        CapabilitySets sets;
        uint64_t own = 0;
        int status;
        pid_t pid;

        CHECK_EQ(capabilities_read_own(&own), 0);
        plan.capabilities = 1 << CAP_CHOWN | 1 << CAP_KILL;
        plan.ambient_capabilities = 1 << CAP_KILL;
        sets = capabilities_plan(&plan, own);
        pid = fork();
        if (pid == 0)
            _exit(become_and_look(&sets, &users[i]));
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK_EQ(status, 0);
    }
}

TEST_MAIN
