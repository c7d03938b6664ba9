/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/file.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "test/unit/scratch.h"
#include "test/unit/test.h"

static int count_entries(int dir_fd)
{
    DIR *directory = fdopendir(openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    int count = -2;

    while (directory && readdir(directory))
        count++;
    (void)closedir(directory);
    return count;
}

TEST(read_has_a_bound)
{
    SCRATCH(scratch);
    AUTO_FREE char *data = NULL;
    size_t size = 0;

    scratch_write(&scratch, "ten", "0123456789");
    CHECK_EQ(file_read_at(scratch.fd, "ten", 9, &data, &size), -EFBIG);
    CHECK(!data);
    CHECK_EQ(file_read_at(scratch.fd, "ten", 10, &data, &size), 0);
    CHECK_EQ(size, 10);
    CHECK_STR(data, "0123456789");
    free(TAKE(data));
    CHECK_EQ(file_read_virtual_at(scratch.fd, "ten", 10, &data, NULL), 0);
    CHECK_STR(data, "0123456789");
    free(TAKE(data));
    CHECK_EQ(file_read_virtual_at(scratch.fd, "ten", 9, &data, &size), -EFBIG);
    scratch_write(&scratch, "empty", "");
    CHECK_EQ(file_read_at(scratch.fd, "empty", 0, &data, &size), 0);
    CHECK_EQ(size, 0);
    CHECK_STR(data, "");
}

TEST(read_takes_regular_files_only)
{
    SCRATCH(scratch);
    char *data = NULL;

    CHECK(mkfifoat(scratch.fd, "fifo", 0600) == 0);
    CHECK_EQ(file_read_at(scratch.fd, "fifo", 10, &data, NULL), -EINVAL);
    CHECK_EQ(file_read_virtual_at(scratch.fd, "fifo", 10, &data, NULL), -EINVAL);
    CHECK_EQ(file_read_at(scratch.fd, ".", 10, &data, NULL), -EISDIR);
    CHECK_EQ(file_read_at(scratch.fd, "none", 10, &data, NULL), -ENOENT);
    CHECK_EQ(file_read_at(AT_FDCWD, "/dev/zero", 10, &data, NULL), -EINVAL);
}

TEST(read_virtual_files)
{
    AUTO_FREE char *data = NULL;
    AUTO_FREE char *same = NULL;
    size_t size = 0;

    CHECK_EQ(file_read_virtual_at(AT_FDCWD, "/proc/self/maps", 1 << 20, &data, &size), 0);
    CHECK(size > 1000 && strlen(data) == size);
    CHECK_EQ(file_read_virtual_at(AT_FDCWD, "/proc/self/maps", 100, &same, &size), -EFBIG);
}

TEST(write_replaces_and_leaves_nothing)
{
    SCRATCH(scratch);
    AUTO_FREE char *data = NULL;
    struct stat status;
    mode_t mask = umask(077);

    CHECK_EQ(file_write_at(scratch.fd, "f", "old", 3, 0644, FILE_SYNC_NO), 0);
    CHECK_EQ(file_write_at(scratch.fd, "f", "newer", 5, 0644, FILE_SYNC_YES), 0);
    (void)umask(mask);
    CHECK_EQ(file_read_at(scratch.fd, "f", 10, &data, NULL), 0);
    CHECK_STR(data, "newer");
    CHECK(fstatat(scratch.fd, "f", &status, 0) == 0);
    CHECK_EQ(status.st_mode & 07777, 0644);
    CHECK_EQ(count_entries(scratch.fd), 1);
    CHECK(mkdirat(scratch.fd, "d", 0700) == 0);
    CHECK_EQ(file_write_at(scratch.fd, "d/f", "x", 1, 0600, FILE_SYNC_YES), 0);
    CHECK_EQ(file_write_at(scratch.fd, "d", "x", 1, 0600, FILE_SYNC_NO), -EISDIR);
    CHECK_EQ(file_write_at(scratch.fd, "none/f", "x", 1, 0600, FILE_SYNC_NO), -ENOENT);
    CHECK_EQ(count_entries(scratch.fd), 2);
}

TEST(write_after_a_crash)
{
    SCRATCH(scratch);
    char left[64], target[128];

    (void)snprintf(left, sizeof(left), ".f.%d.new", (int)getpid());
    (void)snprintf(target, sizeof(target), "%s/victim", scratch.path);
    scratch_write(&scratch, "victim", "whole");
    CHECK(symlinkat(target, scratch.fd, left) == 0);
    CHECK_EQ(file_write_at(scratch.fd, "f", "x", 1, 0600, FILE_SYNC_NO), 0);
    CHECK_EQ(count_entries(scratch.fd), 2);
    {
        AUTO_FREE char *data = NULL;
        CHECK_EQ(file_read_at(scratch.fd, "victim", 10, &data, NULL), 0);
        CHECK_STR(data, "whole");
    }
}

TEST(put_writes_what_exists)
{
    SCRATCH(scratch);
    AUTO_FREE char *data = NULL;

    CHECK_EQ(file_put_at(scratch.fd, "f", "1"), -ENOENT);
    scratch_write(&scratch, "f", "0");
    CHECK_EQ(file_put_at(scratch.fd, "f", "1"), 0);
    CHECK_EQ(file_read_at(scratch.fd, "f", 10, &data, NULL), 0);
    CHECK_STR(data, "1");
    CHECK_EQ(file_put_at(AT_FDCWD, "/proc/self/oom_score_adj", "nonsense"), -EINVAL);
}

TEST(directories_are_made)
{
    SCRATCH(scratch);
    char path[128];
    struct stat status;
    int fd;

    (void)snprintf(path, sizeof(path), "%s/a//b/c/", scratch.path);
    CHECK_EQ(file_make_directories(path, 0750), 0);
    CHECK_EQ(file_make_directories(path, 0700), 0);
    CHECK(fstatat(scratch.fd, "a/b/c", &status, 0) == 0);
    CHECK_EQ(status.st_mode & 07777, 0750);
    scratch_write(&scratch, "a/file", "");
    (void)snprintf(path, sizeof(path), "%s/a/file", scratch.path);
    CHECK_EQ(file_make_directories(path, 0700), -ENOTDIR);
    (void)snprintf(path, sizeof(path), "%s/a/file/x", scratch.path);
    CHECK_EQ(file_make_directories(path, 0700), -ENOTDIR);
    CHECK_EQ(file_make_directories("relative", 0700), -EINVAL);
    CHECK_EQ(file_make_directories("/", 0700), 0);

    fd = file_open_directory_at(scratch.fd, "new", 0711);
    CHECK(fd >= 0);
    CHECK(fstat(fd, &status) == 0);
    CHECK_EQ(status.st_mode & 07777, 0711);
    (void)close(fd);
    CHECK(symlinkat("new", scratch.fd, "link") == 0);
    CHECK(file_open_directory_at(scratch.fd, "link", 0700) < 0);
    CHECK_EQ(file_open_directory_at(scratch.fd, "a/file", 0700), -ENOTDIR);
}

TEST(delete_files_links_and_nothing)
{
    SCRATCH(scratch);

    CHECK(mkdirat(scratch.fd, "outside", 0700) == 0);
    scratch_write(&scratch, "outside/keep", "x");
    CHECK(mkdirat(scratch.fd, "tree", 0700) == 0);
    CHECK(symlinkat("../outside", scratch.fd, "tree/link") == 0);
    CHECK(symlinkat("outside", scratch.fd, "toplink") == 0);
    CHECK(mkfifoat(scratch.fd, "tree/fifo", 0) == 0);
    scratch_write(&scratch, "tree/file", "x");
    CHECK_EQ(file_delete_tree_at(scratch.fd, "tree"), 0);
    CHECK_EQ(file_delete_tree_at(scratch.fd, "tree"), 0);
    CHECK_EQ(file_delete_tree_at(scratch.fd, "toplink"), 0);
    CHECK_EQ(count_entries(scratch.fd), 1);
    CHECK(faccessat(scratch.fd, "outside/keep", F_OK, 0) == 0);
    CHECK_EQ(file_delete_tree_at(scratch.fd, "outside/keep"), 0);
    CHECK_EQ(file_delete_tree_at(scratch.fd, "outside"), 0);
    CHECK_EQ(count_entries(scratch.fd), 0);
}

/* `depth` directories below each other, each with a file and a sibling that is not empty. */
static int make_deep(int dir_fd, int depth)
{
    AUTO_CLOSE int fd = dup(dir_fd);

    for (int i = 0; i < depth; i++) {
        int file, next;
        if (mkdirat(fd, "d", 0700) < 0 || mkdirat(fd, "s", 0700) < 0 ||
            mkdirat(fd, "s/t", 0700) < 0)
            return -errno;
        file = openat(fd, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        (void)close(file);
        (void)close(fd);
        fd = next;
        if (fd < 0)
            return -errno;
    }
    return 0;
}

TEST(delete_a_deep_tree)
{
    SCRATCH(scratch);
    uint64_t bytes, inodes;

    CHECK(mkdirat(scratch.fd, "tree", 0700) == 0);
    {
        AUTO_CLOSE int fd = openat(scratch.fd, "tree", O_RDONLY | O_CLOEXEC);
        CHECK_EQ(make_deep(fd, 2500), 0);
        /* The names that moved directories are given may be taken. */
        CHECK(mkdirat(fd, ".deep-0", 0700) == 0);
        CHECK(mkdirat(fd, ".deep-0/x", 0700) == 0);
    }
    CHECK_EQ(file_measure_tree_at(scratch.fd, "tree", &bytes, &inodes), -ELOOP);
    CHECK_EQ(file_delete_tree_at(scratch.fd, "tree"), 0);
    CHECK_EQ(count_entries(scratch.fd), 0);
}

TEST(delete_a_wide_tree)
{
    SCRATCH(scratch);
    char name[64];

    CHECK(mkdirat(scratch.fd, "tree", 0700) == 0);
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(name, sizeof(name), "tree/directory-with-a-name-%d", i);
        CHECK(mkdirat(scratch.fd, name, 0700) == 0);
        (void)snprintf(name, sizeof(name), "tree/directory-with-a-name-%d/x", i);
        CHECK(i % 3 == 0 || mkdirat(scratch.fd, name, 0700) == 0);
    }
    CHECK_EQ(file_delete_tree_at(scratch.fd, "tree"), 0);
    CHECK_EQ(count_entries(scratch.fd), 0);
}

typedef struct MountCase {
    const char *mount_point;
    uint64_t inodes; /* what is measured from "tree" on, the mount below it left out */
} MountCase;

/* In a mount namespace of its own. 0: as it should be, 77: nothing can be mounted here. */
static int delete_around_mount(const Scratch *scratch, const MountCase *expected)
{
    uint64_t bytes, inodes;
    char target[128];
    int fd;

    (void)snprintf(target, sizeof(target), "%s/%s", scratch->path, expected->mount_point);
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return 77;
    /* A bind mount has the device number of what is around it. */
    if (mount(scratch->path, target, NULL, MS_BIND, NULL) < 0)
        return 77;
    /* The scratch directory's own descriptor belongs to the namespace before. */
    fd = open(scratch->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file_delete_tree_at(fd, "tree") != -EBUSY || faccessat(fd, "keep", F_OK, 0) < 0)
        return 1;
    if (file_measure_tree_at(fd, "tree", &bytes, &inodes) < 0 || inodes != expected->inodes)
        return 2;
    return 0;
}

TEST(delete_stops_at_mounts)
{
    static const MountCase cases[] = {{"tree/a/b", 2}, {"tree", 5}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        SCRATCH(scratch);
        pid_t child;
        int status;
        CHECK(mkdirat(scratch.fd, "tree", 0700) == 0);
        CHECK(mkdirat(scratch.fd, "tree/a", 0700) == 0);
        CHECK(mkdirat(scratch.fd, "tree/a/b", 0700) == 0);
        scratch_write(&scratch, "keep", "x");
        child = fork();
        CHECK(child >= 0);
        if (child == 0)
            _exit(delete_around_mount(&scratch, &cases[i]));
        CHECK_EQ(waitpid(child, &status, 0), child);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
            SKIP("nothing can be mounted here");
        CHECK_EQ(status, 0);
    }
}

TEST(measure_counts_each_file_once)
{
    SCRATCH(scratch);
    static char block[64 * 1024];
    uint64_t bytes = 0, inodes = 0, again = 0;

    CHECK(mkdirat(scratch.fd, "tree", 0700) == 0);
    CHECK(mkdirat(scratch.fd, "tree/sub", 0700) == 0);
    CHECK_EQ(file_measure_tree_at(scratch.fd, "tree", &again, &inodes), 0);
    CHECK_EQ(inodes, 2);
    memset(block, 'x', sizeof(block));
    CHECK_EQ(file_write_at(scratch.fd, "tree/sub/f", block, sizeof(block), 0600, FILE_SYNC_YES), 0);
    CHECK(linkat(scratch.fd, "tree/sub/f", scratch.fd, "tree/g", 0) == 0);
    CHECK(linkat(scratch.fd, "tree/sub/f", scratch.fd, "tree/h", 0) == 0);
    CHECK(symlinkat("/", scratch.fd, "tree/link") == 0);
    CHECK_EQ(file_measure_tree_at(scratch.fd, "tree", &bytes, &inodes), 0);
    CHECK_EQ(inodes, 4);
    CHECK(bytes - again > sizeof(block) - 16 && bytes - again < sizeof(block) + 16384);
    CHECK_EQ(file_measure_tree_at(scratch.fd, "none", &bytes, &inodes), -ENOENT);
    CHECK_EQ(file_measure_tree_at(scratch.fd, "tree/g", &bytes, &inodes), -ENOTDIR);
}

TEST_MAIN
