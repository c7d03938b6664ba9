/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/path.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/wait.h>

#include "shared/clock.h"
#include "test/unit/scratch.h"
#include "test/unit/test.h"

TEST(clean_paths)
{
    static const char *const good[] = {"/", "/a", "/a/b", "/...", "/a b/\xc3\xa9", "/.a"};
    static const char *const bad[] = {"",   "a",   "./a",  "//",      "//a",   "/a/",    "/a//b",
                                      "/.", "/..", "/a/.", "/a/../b", "/a\nb", "/a\x01", "/a/.."};
    char big[PATH_MAX + 2];

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CHECK(path_is_clean(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(!path_is_clean(bad[i]));
    for (size_t i = 0; i < sizeof(big); i += 2)
        memcpy(big + i, "/x", 2);
    big[PATH_MAX] = '\0';
    CHECK(!path_is_clean(big));
    big[PATH_MAX - 2] = '\0';
    CHECK(path_is_clean(big));
    CHECK(!path_is_clean(NULL));
}

TEST(names)
{
    char big[NAME_MAX + 2];

    CHECK(path_is_name("a") && path_is_name("...") && path_is_name(".a") && path_is_name("a b"));
    CHECK(!path_is_name("") && !path_is_name(".") && !path_is_name("..") && !path_is_name("a/b") &&
          !path_is_name("/") && !path_is_name("a/") && !path_is_name("a\n") && !path_is_name(NULL));
    memset(big, 'x', sizeof(big));
    big[NAME_MAX + 1] = '\0';
    CHECK(!path_is_name(big));
    big[NAME_MAX] = '\0';
    CHECK(path_is_name(big));
}

TEST(cleaning)
{
    static const char *const pairs[][2] = {
        {"//a/./b/../c", "/a/c"},
        {"/", "/"},
        {"//", "/"},
        {"/..", "/"},
        {"/../../a", "/a"},
        {"/a/b/", "/a/b"},
        {"/a/..", "/"},
        {"/a/../..", "/"},
        {"/.../a", "/.../a"},
        {"/a/b/../..", "/"},
        {"/a/.b/..c", "/a/.b/..c"},
    };
    char clean[PATH_MAX], big[PATH_MAX + 2];

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        CHECK_EQ(path_clean(pairs[i][0], clean), 0);
        CHECK_STR(clean, pairs[i][1]);
        CHECK(path_is_clean(clean));
    }
    CHECK_EQ(path_clean("a", clean), -EINVAL);
    CHECK_EQ(path_clean("", clean), -EINVAL);
    memset(big, 'x', sizeof(big));
    big[0] = '/';
    big[PATH_MAX] = '\0';
    CHECK_EQ(path_clean(big, clean), -ENAMETOOLONG);
    big[PATH_MAX - 1] = '\0';
    CHECK_EQ(path_clean(big, clean), 0);
    CHECK_EQ(strlen(clean), PATH_MAX - 1);
    CHECK_EQ(path_clean(big, big), 0);
}

/* secret, and root/ with etc/passwd, and links that would lead out of it. */
static int make_root(const Scratch *scratch)
{
    char absolute[128];

    scratch_write(scratch, "secret", "outside");
    if (mkdirat(scratch->fd, "root", 0755) < 0 || mkdirat(scratch->fd, "root/etc", 0755) < 0)
        return -1;
    scratch_write(scratch, "root/etc/passwd", "inside");
    scratch_write(scratch, "root/secret", "inside");
    (void)snprintf(absolute, sizeof(absolute), "%s/secret", scratch->path);
    if (symlinkat("/etc/passwd", scratch->fd, "root/absolute") < 0 ||
        symlinkat("../../../../secret", scratch->fd, "root/up") < 0 ||
        symlinkat(absolute, scratch->fd, "root/out") < 0 ||
        symlinkat("loop", scratch->fd, "root/loop") < 0)
        return -1;
    return openat(scratch->fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static const char *content_of(int root_fd, const char *path)
{
    static char text[32];
    AUTO_CLOSE int fd = path_open_in_root(root_fd, path, O_RDONLY);
    ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

    text[size > 0 ? size : 0] = '\0';
    return text;
}

TEST(links_resolve_inside_the_root)
{
    SCRATCH(scratch);
    AUTO_CLOSE int root_fd = make_root(&scratch);

    CHECK(root_fd >= 0);
    CHECK_STR(content_of(root_fd, "/etc/passwd"), "inside");
    CHECK_STR(content_of(root_fd, "etc/../../../etc/passwd"), "inside");
    CHECK_STR(content_of(root_fd, "/absolute"), "inside");
    CHECK_STR(content_of(root_fd, "/up"), "inside");
    CHECK_STR(content_of(root_fd, "/../secret"), "inside");
    CHECK_EQ(path_open_in_root(root_fd, "/out", O_RDONLY), -ENOENT);
    CHECK_EQ(path_open_in_root(root_fd, "/loop", O_RDONLY), -ELOOP);
    CHECK_EQ(path_open_in_root(root_fd, "", O_RDONLY), -ENOENT);
}

TEST(magic_links_are_refused)
{
    AUTO_CLOSE int root_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", root_fd);
    CHECK_EQ(path_open_in_root(root_fd, path, O_RDONLY), -ELOOP);
    CHECK_EQ(path_open_in_root(root_fd, "/proc/self/root/etc", O_RDONLY), -ELOOP);
    CHECK_EQ(path_open_in_root(root_fd, "/proc/self/exe", O_RDONLY), -ELOOP);
    CHECK_EQ(path_make_in_root(root_fd, path, PATH_DIRECTORY, 0755), -ELOOP);
}

TEST(beneath_follows_no_link)
{
    SCRATCH(scratch);
    AUTO_CLOSE int root_fd = make_root(&scratch);
    AUTO_CLOSE int fd = -1;
    struct stat status;
    mode_t mask = umask(0);

    CHECK(root_fd >= 0);
    CHECK_EQ(path_open_beneath(root_fd, "absolute", O_RDONLY, 0), -ELOOP);
    CHECK_EQ(path_open_beneath(root_fd, "../secret", O_RDONLY, 0), -EXDEV);
    CHECK_EQ(path_open_beneath(root_fd, "/etc/passwd", O_RDONLY, 0), -EXDEV);
    CHECK_EQ(path_open_beneath(root_fd, "new", O_RDONLY, 0600), -ENOENT);
    fd = path_open_beneath(root_fd, "etc/new", O_WRONLY | O_CREAT | O_EXCL, 0640);
    (void)umask(mask);
    CHECK(fd >= 0);
    CHECK(fstat(fd, &status) == 0);
    CHECK_EQ(status.st_mode & 07777, 0640);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

TEST(what_is_missing_is_made_inside)
{
    SCRATCH(scratch);
    AUTO_CLOSE int root_fd = make_root(&scratch);
    struct stat status;
    int fd;

    CHECK(root_fd >= 0);
    fd = path_make_in_root(root_fd, "/a/b//c/", PATH_DIRECTORY, 0755);
    CHECK(fd >= 0);
    CHECK(fcntl(fd, F_GETFL) & O_PATH);
    (void)close(fd);
    CHECK(fstatat(root_fd, "a/b/c", &status, 0) == 0 && S_ISDIR(status.st_mode));
    fd = path_make_in_root(root_fd, "../../a/x/y/file", PATH_FILE, 0755);
    CHECK(fd >= 0);
    (void)close(fd);
    CHECK(fstatat(root_fd, "a/x/y/file", &status, 0) == 0 && S_ISREG(status.st_mode));
    CHECK_EQ(status.st_mode & 0111, 0);
    CHECK_EQ(status.st_size, 0);
    CHECK(fstatat(scratch.fd, "a", &status, 0) < 0);
    fd = path_make_in_root(root_fd, "/", PATH_DIRECTORY, 0755);
    CHECK(fd >= 0);
    (void)close(fd);
}

TEST(what_exists_is_taken)
{
    SCRATCH(scratch);
    AUTO_CLOSE int root_fd = make_root(&scratch);
    int fd;

    CHECK(root_fd >= 0);
    fd = path_make_in_root(root_fd, "/absolute", PATH_FILE, 0755);
    CHECK(fd >= 0);
    (void)close(fd);
    CHECK_STR(content_of(root_fd, "/etc/passwd"), "inside");
    CHECK_EQ(path_make_in_root(root_fd, "/etc/passwd", PATH_DIRECTORY, 0755), -ENOTDIR);
    CHECK_EQ(path_make_in_root(root_fd, "/etc/passwd/x", PATH_FILE, 0755), -ENOTDIR);
    CHECK_EQ(path_make_in_root(root_fd, "/etc", PATH_FILE, 0755), -EISDIR);
    CHECK_EQ(path_make_in_root(root_fd, "/", PATH_FILE, 0755), -EISDIR);
    CHECK_EQ(path_make_in_root(root_fd, "/loop/x", PATH_FILE, 0755), -ELOOP);
}

TEST(links_to_what_is_missing)
{
    SCRATCH(scratch);
    AUTO_CLOSE int root_fd = make_root(&scratch);
    char absolute[160];
    struct stat status;
    int fd;

    CHECK(root_fd >= 0);
    CHECK(mkdirat(root_fd, "var", 0755) == 0);
    CHECK(symlinkat("../run", root_fd, "var/run") == 0);
    fd = path_make_in_root(root_fd, "/var/run/secrets/token", PATH_FILE, 0755);
    CHECK(fd >= 0);
    (void)close(fd);
    CHECK(fstatat(root_fd, "run/secrets/token", &status, AT_SYMLINK_NOFOLLOW) == 0);
    /* One that names a place outside: the place of that name inside is meant. */
    (void)snprintf(absolute, sizeof(absolute), "%s/made", scratch.path);
    CHECK(symlinkat(absolute, root_fd, "escape") == 0);
    fd = path_make_in_root(root_fd, "/escape/x", PATH_FILE, 0755);
    CHECK(fd >= 0);
    (void)close(fd);
    CHECK(fstatat(scratch.fd, "made", &status, 0) < 0);
    (void)snprintf(absolute, sizeof(absolute), "%s/root%s/made/x", scratch.path, scratch.path);
    CHECK(stat(absolute, &status) == 0);
    /* And one up out of the root. */
    CHECK(symlinkat("../../../../../../made", root_fd, "var/up") == 0);
    fd = path_make_in_root(root_fd, "/var/up", PATH_DIRECTORY, 0755);
    CHECK(fd >= 0);
    (void)close(fd);
    CHECK(fstatat(root_fd, "made", &status, 0) == 0);
    CHECK(fstatat(scratch.fd, "made", &status, 0) < 0);
}

static _Noreturn void swap_for_ever(int root_fd)
{
    for (;;) {
        (void)renameat2(root_fd, "dir", root_fd, "evil", RENAME_EXCHANGE);
    }
}

/* Somebody exchanges a directory for a link that leads out, again and again. */
TEST(swapping_does_not_lead_out)
{
    SCRATCH(scratch);
    AUTO_CLOSE int root_fd = make_root(&scratch);
    uint64_t end = clock_monotonic() + CLOCK_SECOND / 2;
    struct stat status;
    pid_t child;
    int escaped = 0, made = 0;

    CHECK(root_fd >= 0);
    CHECK(mkdirat(scratch.fd, "outside", 0755) == 0);
    CHECK(mkdirat(root_fd, "dir", 0755) == 0);
    CHECK(symlinkat("../outside", root_fd, "evil") == 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0)
        swap_for_ever(root_fd);
    for (int i = 0; clock_monotonic() < end; i++) {
        char path[64];
        int fd;
        (void)snprintf(path, sizeof(path), "/dir/%d/x", i);
        fd = path_make_in_root(root_fd, path, PATH_FILE, 0755);
        made += fd >= 0 ? 1 : 0;
        if (fd >= 0)
            (void)close(fd);
        (void)snprintf(path, sizeof(path), "outside/%d", i);
        escaped += fstatat(scratch.fd, path, &status, 0) == 0 ? 1 : 0;
    }
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    CHECK_EQ(escaped, 0);
    CHECK(made > 0);
}

TEST_MAIN
