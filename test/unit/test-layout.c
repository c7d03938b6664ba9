/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/layout.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "shared/fd.h"
#include "test/unit/scratch.h"
#include "test/unit/test.h"

TEST(lock_is_held_by_the_open_file)
{
    SCRATCH(scratch);
    int fd;

    CHECK_EQ(layout_pod_is_alive(scratch.fd), 0);
    fd = layout_lock_pod(scratch.fd);
    CHECK(fd >= 0);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK_EQ(layout_pod_is_alive(scratch.fd), 1);
    CHECK_EQ(layout_lock_pod(scratch.fd), -EBUSY);
    fd_close(&fd);
    CHECK_EQ(layout_pod_is_alive(scratch.fd), 0);
    fd = layout_lock_pod(scratch.fd);
    CHECK(fd >= 0);
    fd_close(&fd);
}

TEST(lock_is_inherited_and_falls_with_its_last_holder)
{
    SCRATCH(scratch);
    int fd = layout_lock_pod(scratch.fd);
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        (void)pause();
        _exit(0);
    }
    fd_close(&fd);
    CHECK_EQ(layout_pod_is_alive(scratch.fd), 1);
    CHECK_EQ(layout_lock_pod(scratch.fd), -EBUSY);
    CHECK(kill(child, SIGKILL) == 0);
    CHECK_EQ(waitpid(child, NULL, 0), child);
    CHECK_EQ(layout_pod_is_alive(scratch.fd), 0);
}

TEST(lock_does_not_follow_a_link)
{
    SCRATCH(scratch);

    scratch_write(&scratch, "other", "");
    CHECK(symlinkat("other", scratch.fd, LAYOUT_LOCK) == 0);
    CHECK_EQ(layout_lock_pod(scratch.fd), -ELOOP);
    CHECK_EQ(layout_pod_is_alive(scratch.fd), -ELOOP);
}

TEST(boot_id_is_a_uuid)
{
    char id[LAYOUT_BOOT_ID_SIZE], again[LAYOUT_BOOT_ID_SIZE];

    CHECK_EQ(layout_read_boot_id(id), 0);
    CHECK_EQ(layout_read_boot_id(again), 0);
    CHECK_EQ(strspn(id, "0123456789abcdef-"), LAYOUT_BOOT_ID_SIZE - 1);
    CHECK_STR(id, again);
}

TEST_MAIN
