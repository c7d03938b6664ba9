/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/scope.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "podmon/cgroup.h"
#include "shared/clock.h"
#include "test/unit/test.h"

static char unit[64], slice[] = "podmontest.slice", description[] = "A pod of a test";

static Podmon__CgroupPlan make_plan(void)
{
    Podmon__CgroupPlan plan = PODMON__CGROUP_PLAN__INIT;

    (void)snprintf(unit, sizeof(unit), "pod-test-%d.scope", getpid());
    plan.unit = unit;
    plan.slice = slice;
    plan.description = description;
    return plan;
}

static pid_t start_child(void)
{
    pid_t pid = fork();

    while (pid == 0)
        (void)pause();
    return pid;
}

TEST(names_are_checked)
{
    static const char *const bad[] = {"",          "x.service", ".scope",
                                      "a/b.scope", "a b.scope", "../x.scope"};
    Podmon__CgroupPlan plan = make_plan();
    Failure why;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        plan.unit = (char *)(uintptr_t)bad[i];
        CHECK(scope_start(&plan, getpid(), 0, &why) < 0);
        CHECK_EQ(why.code, FAILURE_INVALID_ARGUMENT);
        CHECK(scope_stop(bad[i], 0, &why) < 0);
        CHECK_EQ(why.code, FAILURE_INVALID_ARGUMENT);
    }
    plan = make_plan();
    plan.slice = unit;
    CHECK(scope_start(&plan, getpid(), 0, &why) < 0);
    CHECK(strstr(why.text, "cgroup_parent"));
}

TEST(scope_lives_and_stops)
{
    Podmon__CgroupPlan plan = make_plan();
    char own[PATH_MAX];
    Failure why = {0};
    int status;
    pid_t pid;

    if (access("/run/systemd/system", F_OK) < 0)
        SKIP("systemd is not PID 1 here");
    pid = start_child();
    for (int i = 0; i < 2; i++) {
        uint64_t start = clock_monotonic();
        if (scope_start(&plan, pid, start + CLOCK_SECOND * 5, &why) < 0)
            printf("  %s\n", why.text);
        CHECK_EQ(why.code, FAILURE_NONE);
        printf("  scope_start %.1f ms\n", (double)(clock_monotonic() - start) / 1e6);
        CHECK_EQ(cgroup_read_own(pid, own), 0);
        CHECK(strstr(own, unit));
        CHECK(scope_start(&plan, pid, clock_monotonic() + CLOCK_SECOND * 5, &why) < 0);
        CHECK_EQ(why.code, FAILURE_FAILED_PRECONDITION);
        CHECK(strstr(why.text, unit));
        why.code = FAILURE_NONE;
        CHECK_EQ(scope_stop(unit, clock_monotonic() + CLOCK_SECOND * 15, &why), 0);
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
        CHECK_EQ(scope_stop(unit, clock_monotonic() + CLOCK_SECOND * 15, &why), 0);
        pid = start_child();
    }
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    (void)cgroup_remove("/podmontest.slice");
}

TEST(without_systemd_it_says_so)
{
    Podmon__CgroupPlan plan = make_plan();
    Failure why;

    if (access("/run/systemd/private", F_OK) == 0 ||
        access("/run/dbus/system_bus_socket", F_OK) == 0)
        SKIP("systemd is here");
    CHECK(scope_start(&plan, getpid(), clock_monotonic() + CLOCK_SECOND, &why) < 0);
    CHECK_EQ(why.code, FAILURE_UNAVAILABLE);
}

TEST_MAIN
