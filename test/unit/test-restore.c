/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "podmon/process.h"
#include "podmon/restore.h"
#include "shared/cleanup.h"
#include "shared/fd.h"
#include "test/unit/test.h"

static RestorePlan plan(Podmon__PodPhase phase, uint64_t sequence, bool same_boot)
{
    Podmon__PodRecord record = PODMON__POD_RECORD__INIT;

    record.phase = phase;
    record.sequence = sequence;
    return restore_plan(&record, same_boot);
}

TEST(a_record_says_what_is_next)
{
    CHECK_EQ(plan(PODMON__POD_PHASE__POD_STARTING, 0, true), RESTORE_SET_UP);
    CHECK_EQ(plan(PODMON__POD_PHASE__POD_STARTING, 1, true), RESTORE_SET_UP_AGAIN);
    CHECK_EQ(plan(PODMON__POD_PHASE__POD_STARTING, 1, false), RESTORE_STOP);
    CHECK_EQ(plan(PODMON__POD_PHASE__POD_READY, 5, true), RESTORE_ADOPT);
    CHECK_EQ(plan(PODMON__POD_PHASE__POD_READY, 5, false), RESTORE_STOP);
    CHECK_EQ(plan(PODMON__POD_PHASE__POD_STOPPING, 5, true), RESTORE_STOP);
    CHECK_EQ(plan(PODMON__POD_PHASE__POD_STOPPED, 5, false), RESTORE_NOTHING);
    CHECK_EQ(plan(PODMON__POD_PHASE__POD_REMOVING, 5, true), RESTORE_REMOVE);
    CHECK_EQ(plan((Podmon__PodPhase)77, 5, true), RESTORE_STOP);
}

TEST(a_process_is_its_number_and_its_start)
{
    uint64_t start, other;

    CHECK_EQ(process_read_start(getpid(), &start), 0);
    CHECK(start > 0);
    CHECK_EQ(process_read_start(getpid(), &other), 0);
    CHECK_EQ(start, other);
    AUTO_CLOSE int fd = process_open(getpid(), start);
    CHECK(fd >= 0);
    CHECK_EQ(process_open(getpid(), start + 1), -ESRCH);
}

static bool end_of_child(int status, int signal_number, ProcessEnd *ret)
{
    pid_t pid = fork();

    if (pid == 0) {
        if (signal_number > 0)
            (void)raise(signal_number);
        _exit(status);
    }
    AUTO_CLOSE int fd = fd_open_pid(pid);
    for (int i = 0; i < 1000; i++) {
        if (process_read_end(fd, ret) == 0)
            return true;
        (void)usleep(1000);
    }
    return false;
}

TEST(how_a_child_ended)
{
    ProcessEnd end;

    CHECK(end_of_child(3, 0, &end));
    CHECK(end.known && end.status == 3 && !end.was_killed);
    CHECK(end_of_child(0, SIGKILL, &end));
    CHECK(end.known && end.status == 137 && end.was_killed);
    CHECK(end_of_child(0, SIGTERM, &end));
    CHECK(end.known && end.status == 143 && !end.was_killed);
}

/* One that another has reaped: exact where the kernel tells (Linux 6.15), else soon given up. */
TEST(how_another_ones_child_ended)
{
    ProcessEnd end = {0};
    pid_t pid = fork();
    int r = -EAGAIN;

    if (pid == 0)
        _exit(37);
    AUTO_CLOSE int fd = fd_open_pid(pid);
    CHECK(waitpid(pid, NULL, 0) == pid);
    r = process_read_end(fd, &end);
    if (r == 0 && end.known)
        CHECK_EQ(end.status, 37);
}

static bool is_kept(void *data, pid_t pid)
{
    const pid_t *kept = data;

    return pid == *kept;
}

TEST(orphans_are_reaped_and_ours_are_not)
{
    pid_t kept = fork(), orphan;

    if (kept == 0)
        pause();
    orphan = fork();
    if (orphan == 0)
        _exit(0);
    for (int i = 0; i < 1000 && kill(orphan, 0) == 0; i++) {
        process_reap_orphans(is_kept, &kept);
        (void)usleep(1000);
    }
    CHECK(kill(orphan, 0) < 0);
    (void)kill(kept, SIGKILL);
    (void)usleep(20000);
    process_reap_orphans(is_kept, &kept);
    CHECK(waitpid(kept, NULL, 0) == kept);
}

TEST_MAIN
