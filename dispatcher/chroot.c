/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/chroot.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/fd.h"

static bool is_same(const struct statx *one, const struct statx *other)
{
    return one->stx_ino == other->stx_ino && one->stx_dev_major == other->stx_dev_major &&
           one->stx_dev_minor == other->stx_dev_minor && one->stx_mnt_id == other->stx_mnt_id;
}

static int read_root(struct statx *ret)
{
    return statx(AT_FDCWD, "/", 0, STATX_INO | STATX_MNT_ID, ret) < 0 ? -errno : 0;
}

int chroot_detect(void)
{
    AUTO_CLOSE int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    AUTO_CLOSE int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    AUTO_CLOSE int namespace = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    struct statx seen, real;
    int r;

    if (root < 0 || here < 0 || namespace < 0)
        return -errno;
    r = read_root(&seen);
    /* Joining the namespace that one is in does nothing but go to its root. */
    if (r < 0 || setns(namespace, CLONE_NEWNS) < 0)
        return r < 0 ? r : -errno;
    r = read_root(&real);
    if (fchdir(root) < 0 || chroot(".") < 0 || fchdir(here) < 0)
        return -errno;
    return r < 0 ? r : !is_same(&seen, &real);
}
