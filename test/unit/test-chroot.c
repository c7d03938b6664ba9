/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/chroot.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/unit/test.h"

/* In a process of its own. With `directory` as root, if there is one. */
static int detect_in(const char *directory)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        if (directory &&
            (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
             mount("/", directory, NULL, MS_BIND | MS_REC, NULL) < 0 || chroot(directory) < 0 ||
             chdir("/") < 0))
            _exit(77);
        _exit(chroot_detect() & 0xff);
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(a_chroot_is_told_from_the_namespaces_root)
{
    int inside = detect_in("/mnt");

    if (inside == 77 || geteuid() != 0)
        SKIP("cannot make a chroot");
    CHECK_EQ(detect_in(NULL), 0);
    CHECK_EQ(inside, 1);
}

TEST(the_working_directory_stays)
{
    char before[4096], after[4096];

    if (geteuid() != 0)
        SKIP("must be root");
    CHECK(getcwd(before, sizeof(before)) != NULL);
    CHECK(chroot_detect() >= 0);
    CHECK(getcwd(after, sizeof(after)) != NULL);
    CHECK_STR(after, before);
}

TEST_MAIN
