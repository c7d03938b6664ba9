/* SPDX-License-Identifier: Apache-2.0 */
/* Layers, honest and evil, through the confined unpacker. Beside the layer's directory lies a
 * canary tree that no archive may change. */
#include "dispatcher/image/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <zlib.h>

#include "dispatcher/image/names.h"
#include "shared/cleanup.h"
#include "shared/fd.h"
#include "shared/file.h"
#include "test/images/tarball.h"
#include "test/unit/test.h"

typedef struct Work {
    char path[64];
    int dir_fd, tree_fd;
    Digest diff_id;
    Failure why;
} Work;

static void work_init(Work *work)
{
    *work = (Work){.path = "/tmp/podmon-test-unpack-XXXXXX", .dir_fd = -1, .tree_fd = -1};
    if (!mkdtemp(work->path))
        return;
    work->dir_fd = open(work->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file_write_at(work->dir_fd, "canary", "alive", 5, 0640, FILE_SYNC_NO) < 0)
        return;
    work->tree_fd = file_open_directory_at(work->dir_fd, "tree", 0755);
}

static void work_done(Work *work)
{
    char *slash = strrchr(work->path, '/');
    AUTO_CLOSE int parent_fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (work->tree_fd >= 0)
        (void)close(work->tree_fd);
    if (work->dir_fd >= 0)
        (void)close(work->dir_fd);
    (void)file_delete_tree_at(parent_fd, slash + 1);
}

#define WORK                                                                                       \
    CLEANUP(work_done) Work work;                                                                  \
    work_init(&work);                                                                              \
    if (geteuid() != 0)                                                                            \
        SKIP("needs root");                                                                        \
    CHECK(work.tree_fd >= 0)

static bool canary_lives(const Work *work)
{
    CLEANUP(image_names_cleanup) char **names = NULL;
    AUTO_FREE char *text = NULL;
    struct stat status;

    /* Nothing else has come to lie beside it. */
    if (image_names_list(work->dir_fd, &names) < 0 || text_list_count(names) != 2)
        return false;
    return fstatat(work->dir_fd, "canary", &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           (status.st_mode & 07777) == 0640 && status.st_nlink == 1 && status.st_uid == 0 &&
           file_read_at(work->dir_fd, "canary", 64, &text, NULL) == 0 && strcmp(text, "alive") == 0;
}

static int unpack_limited(Work *work, const void *data, size_t size, uint64_t bytes,
                          uint64_t entries, int lower_fd)
{
    AUTO_CLOSE int fd = fd_sealed_memory("layer", data, size);
    UnpackPlan plan = {
        .tree_fd = work->tree_fd,
        .archive_fd = fd,
        .lower_fds = &lower_fd,
        .lower_fds_count = lower_fd >= 0,
        .limits = {.bytes = bytes, .entries = entries},
    };

    (void)lseek(fd, 0, SEEK_SET);
    return unpack_run(&plan, 60 * 1000, &work->diff_id, &work->why);
}

static int unpack(Work *work, const void *data, size_t size)
{
    return unpack_limited(work, data, size, 64 << 20, 10000, -1);
}

static int unpack_tar(Work *work, Text *tar)
{
    int r;

    tar_end(tar);
    r = unpack(work, tar->data, tar->size);
    text_done(tar);
    return r;
}

static mode_t mode_of(const Work *work, const char *name)
{
    struct stat status;

    return fstatat(work->tree_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 ? status.st_mode : 0;
}

TEST(files_keep_what_they_are)
{
    WORK;
    Text tar = {0};
    struct stat status, other;
    char target[32] = {0}, value[64];

    tar_add(&tar, (TarEntry){.name = "./", .type = '5', .mode = 0711});
    tar_add(&tar, (TarEntry){.name = "./a/", .type = '5', .mode = 01777, .uid = 7, .gid = 8});
    tar_add(&tar, (TarEntry){.name = "./a/su",
                             .type = '0',
                             .mode = 04755,
                             .data = "x",
                             .pax = "uid=100000\ngid=4294967294\nmtime=1600000000.123456789\n"
                                    "SCHILY.xattr.user.color=blue\nSCHILY.xattr.trusted.x=1\n"
                                    "SCHILY.xattr.security.selinux=y"});
    tar_add(&tar, (TarEntry){.name = "a/link", .type = '2', .link = "/canary", .mode = 0777});
    tar_add(&tar, (TarEntry){.name = "hard", .type = '1', .link = "./a/su"});
    tar_add(&tar, (TarEntry){.name = "null", .type = '3', .mode = 0666, .major = 1, .minor = 3});
    tar_add(&tar, (TarEntry){.name = "fifo", .type = '6', .mode = 0620});
    CHECK_EQ(unpack_tar(&work, &tar), 0);
    CHECK_EQ(mode_of(&work, "."), S_IFDIR | 0711);
    CHECK_EQ(mode_of(&work, "a"), S_IFDIR | 01777);
    CHECK_EQ(mode_of(&work, "fifo"), S_IFIFO | 0620);
    CHECK_EQ(fstatat(work.tree_fd, "a", &status, 0), 0);
    CHECK_EQ(status.st_mtim.tv_sec, 1700000000);
    CHECK_EQ(status.st_gid, 8);
    CHECK_EQ(fstatat(work.tree_fd, "a/su", &status, 0), 0);
    CHECK_EQ(status.st_mode, S_IFREG | 04755);
    CHECK_EQ(status.st_uid, 100000);
    CHECK_EQ(status.st_gid, 4294967294);
    CHECK_EQ(status.st_mtim.tv_nsec, 123456789);
    CHECK_EQ(fstatat(work.tree_fd, "hard", &other, 0), 0);
    CHECK_EQ(other.st_ino, status.st_ino);
    CHECK_EQ(readlinkat(work.tree_fd, "a/link", target, sizeof(target) - 1), 7);
    CHECK_EQ(fstatat(work.tree_fd, "null", &status, 0), 0);
    CHECK_EQ(status.st_rdev, makedev(1, 3));
    AUTO_CLOSE int fd = openat(work.tree_fd, "a/su", O_RDONLY | O_CLOEXEC);
    CHECK_EQ(fgetxattr(fd, "user.color", value, sizeof(value)), 4);
    CHECK_EQ(fgetxattr(fd, "trusted.x", value, sizeof(value)), -1);
    CHECK(fgetxattr(fd, "security.selinux", value, sizeof(value)) < 0);
    CHECK(canary_lives(&work));
}

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

/* Each must be refused, with a sentence that has the word, or be harmless (word NULL). */
static const struct {
    const char *word;
    TarEntry entries[3];
} evil[] = {
    {"\"..\"", {{.name = "../canary", .type = '0', .mode = 0644, .data = "dead"}}},
    {"\"..\"", {{.name = "a/../../canary", .type = '0', .data = "dead"}}},
    {"\"..\"", {{.name = "..", .type = '5', .mode = 0777}}},
    {NULL, {{.name = "/canary", .type = '0', .mode = 0644, .data = "dead"}}},
    {NULL, {{.name = "//../", .name_size = 2, .type = '5', .mode = 0755}}},
    {NULL,
     {{.name = "l", .type = '2', .link = "../.."},
      {.name = "l/canary", .type = '0', .mode = 0777, .data = "dead"}}},
    {"no directory",
     {{.name = "l", .type = '2', .link = "/nowhere"}, {.name = "l/canary", .type = '0'}}},
    {NULL,
     {{.name = "canary", .type = '2', .link = "../canary"},
      {.name = "canary", .type = '0', .mode = 0777, .data = "dead"}}},
    {NULL,
     {{.name = "up", .type = '2', .link = ".."},
      {.name = "up/canary", .type = '0', .mode = 0777, .data = "dead"}}},
    {NULL,
     {{.name = "d", .type = '5', .mode = 0755},
      {.name = "d", .type = '2', .link = "/"},
      {.name = "d/canary", .type = '0', .data = "dead"}}},
    {"not in the layer", {{.name = "h", .type = '1', .link = "/etc/shadow"}}},
    {"\"..\"", {{.name = "h", .type = '1', .link = "../canary"}}},
    {"not in the layer",
     {{.name = "l", .type = '2', .link = "../canary"}, {.name = "h", .type = '1', .link = "l/x"}}},
    {NULL,
     {{.name = "l", .type = '2', .link = "../canary"},
      {.name = "h", .type = '1', .link = "l"},
      {.name = "h", .type = '0', .mode = 0777, .data = "dead"}}},
    {"hard link to", {{.name = "h", .type = '1', .link = "."}}},
    {"cannot have one",
     {{.name = "d", .type = '5', .mode = 0755}, {.name = "h", .type = '1', .link = "d"}}},
    {"0:0", {{.name = "w", .type = '3', .mode = 0}}},
    {"whiteout", {{.name = ".wh.", .type = '0'}}},
    {"whiteout", {{.name = "a/.wh...", .type = '0'}}},
    {"whiteout", {{.name = ".wh.a/b", .type = '0'}}},
    {NULL, {{.name = ".wh..wh.plnk/1", .type = '0'}}},
    {"root must be", {{.name = ".", .type = '0', .data = "x"}}},
    {"root must be", {{.name = "./", .type = '2', .link = "/etc"}}},
    {NULL, {{.name = "a\0b", .name_size = 3, .type = '0'}}},
    {"\"..\"", {{.name = "fine", .type = '0', .pax = "path=../canary", .data = "dead"}}},
    {"not in the layer", {{.name = "h", .type = '1', .link = "x", .pax = "linkpath=/canary"}}},
    {"user or group", {{.name = "x", .type = '0', .pax = "uid=4294967295"}}},
    {"user or group", {{.name = "x", .type = '0', .pax = "gid=99999999999"}}},
    {NULL,
     {{.name = "x", .type = '0', .data = "1"},
      {.name = "x", .type = '5', .mode = 0755},
      {.name = "x", .type = '0', .data = "2"}}},
    {"attribute security.capability",
     {{.name = "x", .type = '0', .pax = "SCHILY.xattr.security.capability=nonsense"}}},
    {NULL, {{.name = "x", .type = '5', .pax = "SCHILY.xattr.trusted.overlay.opaque=y"}}},
    {NULL, {{.name = "x", .type = '5', .pax = "SCHILY.xattr.trusted.overlay.redirect=/etc"}}},
    {"\"..\"", {{.name = "./../canary", .type = '0', .data = "dead"}}},
    {"\"..\"", {{.name = "a/..", .type = '5', .mode = 0777}}},
    {"\"..\"", {{.name = "../tree/x", .type = '0', .data = "dead"}}},
    {"\"..\"", {{.name = "proc/self/root/../canary", .type = '0'}}},
    {"no directory",
     {{.name = "l", .type = '2', .link = "/etc"}, {.name = "l/passwd", .type = '0'}}},
    {"no directory",
     {{.name = "l", .type = '2', .link = "/proc/self/root"}, {.name = "l/canary", .type = '0'}}},
    {"no directory",
     {{.name = "l", .type = '2', .link = "/proc/self/fd/5"}, {.name = "l/canary", .type = '0'}}},
    {"no directory",
     {{.name = "l", .type = '2', .link = "m"},
      {.name = "m", .type = '2', .link = "l"},
      {.name = "l/x", .type = '0'}}},
    {NULL,
     {{.name = "l", .type = '2', .link = "m"},
      {.name = "m", .type = '2', .link = "../../.."},
      {.name = "l/canary", .type = '0', .mode = 0777, .data = "dead"}}},
    {"\"..\"", {{.name = "h", .type = '1', .link = "../../etc/shadow"}}},
    {"not in the layer",
     {{.name = "d", .type = '2', .link = "/"}, {.name = "h", .type = '1', .link = "d/etc/shadow"}}},
    {"not in the layer", {{.name = "h", .type = '1', .link = "h"}}},
    {"not in the layer", {{.name = "h", .type = '1', .link = "proc/self/exe"}}},
    {NULL, {{.name = "x", .type = '0'}, {.name = "h", .type = '1', .link = "/x"}}},
    {"cannot link it", {{.name = "d/f", .type = '0'}, {.name = "d", .type = '1', .link = "d/f"}}},
    {NULL, {{.name = "disk", .type = '4', .mode = 0666, .major = 254}}},
    {NULL, {{.name = "mem", .type = '3', .mode = 0666, .major = 1, .minor = 1}}},
    {NULL,
     {{.name = "d", .type = '3', .mode = 0666, .major = 1, .minor = 11},
      {.name = "d", .type = '0', .data = "not into the kernel's log"}}},
    {NULL,
     {{.name = "d", .type = '3', .mode = 0666, .major = 1, .minor = 3},
      {.name = "h", .type = '1', .link = "d"},
      {.name = "h", .type = '0', .data = "x"}}},
    {NULL, {{.name = "f", .type = '6', .mode = 0666}, {.name = "f", .type = '0', .data = "x"}}},
    {"no directory", {{.name = "f", .type = '6', .mode = 0666}, {.name = "f/x", .type = '0'}}},
    {"no directory", {{.name = "d", .type = '3', .major = 1, .minor = 3}, {.name = "d/x"}}},
    {"no directory", {{.name = "f", .type = '0'}, {.name = "f/x", .type = '0'}}},
    {"whiteout", {{.name = "a/.wh..wh..opq/b", .type = '0'}}},
    {"whiteout", {{.name = ".wh..", .type = '0'}}},
    {NULL, {{.name = "l", .type = '2', .link = ".."}, {.name = "l/.wh.canary", .type = '0'}}},
    {NULL, {{.name = ".wh.canary", .type = '0', .mode = 0777, .data = "dead"}}},
    {NULL, {{.name = ".wh.x", .type = '1', .link = "/etc/shadow"}}},
    {NULL, {{.name = ".wh.x", .type = '2', .link = "/etc"}}},
    {NULL, {{.name = ".wh.x", .type = '0'}, {.name = "x", .type = '0', .mode = 0666, .data = "1"}}},
    {"cannot have one", {{.name = ".wh.x", .type = '0'}, {.name = "h", .type = '1', .link = "x"}}},
    {NULL, {{.name = "fine", .type = '0', .pax = "path=/canary", .data = "dead"}}},
    {"damaged", {{.name = "x", .type = '0', .pax = "size=99999999999999"}}},
    {"user or group", {{.name = "x", .type = '0', .pax = "uid=-1"}}},
    {NULL, {{.name = "l", .type = '2', .link = "x", .pax = "linkpath=../../canary"}}},
    {"link to nothing", {{.name = "l", .type = '2', .link = ""}}},
    {NULL, {{.name = "x", .type = '0', .pax = "SCHILY.xattr.security.selinux=system_u"}}},
    {NULL, {{.name = "x", .type = '0', .pax = "SCHILY.xattr.system.posix_acl_access=nonsense"}}},
    {NULL, {{.name = "x", .type = '0', .pax = "SCHILY.xattr.trusted.overlay.metacopy=x"}}},
    {"attribute user.",
     {{.name = "x", .type = '0', .pax = "SCHILY.xattr.user." HUNDRED HUNDRED HUNDRED "=x"}}},
    {NULL, {{.name = "x", .type = '7', .data = "dead"}}},
    {NULL, {{.name = "d", .type = '5', .mode = 06777, .uid = 1}}},
    {NULL, {{.name = "..\\canary", .type = '0', .data = "dead"}}},
    {NULL, {{.name = "\033[2J\n", .type = '0', .data = "x"}}},
};

_Static_assert(sizeof(evil) / sizeof(evil[0]) >= 60, "so many are promised");

static void check_evil(size_t i)
{
    WORK;
    Text tar = {0};
    int r;

    for (size_t j = 0; j < 3 && evil[i].entries[j].name; j++)
        tar_add(&tar, evil[i].entries[j]);
    r = unpack_tar(&work, &tar);
    if ((r < 0) != (evil[i].word != NULL) || (r < 0 && !strstr(work.why.text, evil[i].word)) ||
        !canary_lives(&work)) {
        printf("  archive %zu: %d, \"%s\"\n", i, r, work.why.text);
        test_failed = true;
    }
    CHECK(fgetxattr(work.tree_fd, "trusted.overlay.opaque", NULL, 0) < 0);
}

TEST(evil_archives_change_nothing_outside)
{
    for (size_t i = 0; i < sizeof(evil) / sizeof(evil[0]); i++)
        check_evil(i);
}

TEST(what_replaces_a_file_is_that_and_not_what_it_led_to)
{
    WORK;
    Text tar = {0};
    AUTO_FREE char *text = NULL;

    tar_add(&tar, (TarEntry){.name = "target", .type = '0', .mode = 0600, .data = "old"});
    tar_add(&tar, (TarEntry){.name = "x", .type = '2', .link = "target"});
    tar_add(&tar, (TarEntry){.name = "x", .type = '0', .mode = 0600, .data = "new"});
    tar_add(&tar, (TarEntry){.name = "d/e/f", .type = '0', .mode = 0600});
    tar_add(&tar, (TarEntry){.name = "d", .type = '0', .mode = 0600});
    CHECK_EQ(unpack_tar(&work, &tar), 0);
    CHECK_EQ(file_read_at(work.tree_fd, "target", 16, &text, NULL), 0);
    CHECK_STR(text, "old");
    CHECK_EQ(mode_of(&work, "x"), S_IFREG | 0600);
    CHECK_EQ(mode_of(&work, "d"), S_IFREG | 0600);
}

static bool is_opaque(const Work *work, const char *name)
{
    AUTO_CLOSE int fd = openat(work->tree_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char value[4];

    return fd >= 0 && fgetxattr(fd, "trusted.overlay.opaque", value, sizeof(value)) == 1 &&
           value[0] == 'y';
}

TEST(whiteouts_take_the_form_of_overlay)
{
    WORK;
    Text tar = {0};
    struct stat status;

    tar_add(&tar, (TarEntry){.name = "a/.wh.gone", .type = '0'});
    tar_add(&tar, (TarEntry){.name = "o/.wh..wh..opq", .type = '0'});
    tar_add(&tar, (TarEntry){.name = "stays", .type = '0', .mode = 0600, .data = "x"});
    tar_add(&tar, (TarEntry){.name = ".wh.stays", .type = '0'});
    tar_add(&tar, (TarEntry){.name = ".wh.again", .type = '0'});
    tar_add(&tar, (TarEntry){.name = "again", .type = '5', .mode = 0700});
    tar_add(&tar, (TarEntry){.name = "hides", .type = '5', .mode = 0700});
    tar_add(&tar, (TarEntry){.name = ".wh.hides", .type = '0'});
    CHECK_EQ(unpack_tar(&work, &tar), 0);
    CHECK_EQ(fstatat(work.tree_fd, "a/gone", &status, AT_SYMLINK_NOFOLLOW), 0);
    CHECK(S_ISCHR(status.st_mode) && status.st_rdev == 0);
    CHECK(is_opaque(&work, "o") && is_opaque(&work, "again") && is_opaque(&work, "hides"));
    CHECK(!is_opaque(&work, "a"));
    CHECK_EQ(mode_of(&work, "stays"), S_IFREG | 0600);
}

TEST(directories_left_out_are_as_in_the_layer_below)
{
    WORK;
    Text tar = {0};
    AUTO_CLOSE int lower_fd = file_open_directory_at(work.dir_fd, "lower", 0755);
    struct stat status;

    CHECK_EQ(fchmod(lower_fd, 0711), 0);
    CHECK(mkdirat(lower_fd, "a", 0700) == 0 && mkdirat(lower_fd, "a/b", 0700) == 0);
    CHECK_EQ(fchmodat(lower_fd, "a/b", 01770, 0), 0);
    CHECK_EQ(fchownat(lower_fd, "a/b", 12, 34, 0), 0);
    tar_add(&tar, (TarEntry){.name = "a/b/c/d", .type = '0'});
    tar_end(&tar);
    CHECK_EQ(unpack_limited(&work, tar.data, tar.size, 1 << 20, 100, lower_fd), 0);
    text_done(&tar);
    CHECK_EQ(mode_of(&work, "."), S_IFDIR | 0711);
    CHECK_EQ(mode_of(&work, "a"), S_IFDIR | 0700);
    CHECK_EQ(mode_of(&work, "a/b/c"), S_IFDIR | 0755);
    CHECK_EQ(fstatat(work.tree_fd, "a/b", &status, 0), 0);
    CHECK_EQ(status.st_mode, S_IFDIR | 01770);
    CHECK_EQ(status.st_gid, 34);
}

static size_t compress_gzip(const void *data, size_t size, unsigned char *ret, size_t room)
{
    z_stream stream = {0};
    size_t written;

    if (deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK)
        return 0;
    stream.next_in = (unsigned char *)(uintptr_t)data;
    stream.avail_in = (unsigned int)size;
    stream.next_out = ret;
    stream.avail_out = (unsigned int)room;
    (void)deflate(&stream, Z_FINISH);
    written = room - stream.avail_out;
    (void)deflateEnd(&stream);
    return written;
}

TEST(the_diff_id_is_that_of_the_uncompressed_archive)
{
    WORK;
    Text tar = {0};
    unsigned char packed[8192];
    size_t size;
    Digest expected;

    tar_add(&tar, (TarEntry){.name = "x", .type = '0', .mode = 0600, .data = "data"});
    tar_end(&tar);
    (void)text_append(&tar, "behind the end", 14);
    CHECK_EQ(digest_of(DIGEST_SHA256, tar.data, tar.size, &expected), 0);
    size = compress_gzip(tar.data, tar.size, packed, sizeof(packed));
    CHECK_EQ(unpack(&work, packed, size), 0);
    CHECK(digest_equal(&work.diff_id, &expected));
    CHECK_EQ(unpack(&work, tar.data, tar.size), 0);
    CHECK(digest_equal(&work.diff_id, &expected));

    /* One compression only. */
    unsigned char twice[8192];
    size_t twice_size = compress_gzip(packed, size, twice, sizeof(twice));
    CHECK(unpack(&work, twice, twice_size) < 0);
    /* Every way to cut it short is noticed. */
    for (size_t cut = 0; cut < size; cut += 7)
        CHECK(unpack(&work, packed, cut) < 0);
    text_done(&tar);
}

TEST(garbage_is_refused)
{
    WORK;
    char bytes[4096];

    CHECK(unpack(&work, "", 0) < 0);
    CHECK(strstr(work.why.text, "empty"));
    memset(bytes, 'x', sizeof(bytes));
    CHECK(unpack(&work, bytes, sizeof(bytes)) < 0);
    CHECK(strstr(work.why.text, "damaged"));
    memcpy(bytes, "\x1f\x8b", 2);
    CHECK(unpack(&work, bytes, sizeof(bytes)) < 0);
    memcpy(bytes, "\x28\xb5\x2f\xfd", 4);
    CHECK(unpack(&work, bytes, sizeof(bytes)) < 0);
    CHECK_EQ(work.why.code, FAILURE_INVALID_ARGUMENT);
}

TEST(limits_hold)
{
    WORK;
    Text tar = {0};
    AUTO_FREE char *zeros = calloc(1, 8 << 20);
    unsigned char packed[65536];
    size_t size;

    for (int i = 0; i < 11; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "f%d", i);
        tar_add(&tar, (TarEntry){.name = name, .type = '0'});
    }
    tar_end(&tar);
    CHECK_EQ(unpack_limited(&work, tar.data, tar.size, 1 << 20, 10, -1), -EFBIG);
    CHECK_EQ(work.why.code, FAILURE_RESOURCE_EXHAUSTED);
    CHECK_EQ(unpack_limited(&work, tar.data, tar.size, 4096, 100, -1), -EFBIG);
    (void)text_append(&tar, zeros, 8 << 20);
    size = compress_gzip(tar.data, tar.size, packed, sizeof(packed));
    CHECK(size < 16384);
    CHECK_EQ(unpack_limited(&work, packed, size, 1 << 20, 100, -1), -EFBIG);
    text_done(&tar);
}

TEST(long_and_deep_names_are_bounded)
{
    WORK;
    Text tar = {0}, deep = {0}, pax = {0};

    for (int i = 0; i < 250; i++)
        (void)text_add(&deep, "d/");
    (void)text_print(&pax, "path=%s", deep.data);
    tar_add(&tar, (TarEntry){.name = "x", .type = '0', .pax = pax.data});
    CHECK(unpack_tar(&work, &tar) < 0);
    CHECK(strstr(work.why.text, "too long"));
    text_done(&pax);
    (void)text_add(&pax, "path=");
    for (int i = 0; i < 300; i++)
        (void)text_add(&pax, "n");
    tar = (Text){0};
    tar_add(&tar, (TarEntry){.name = "x", .type = '0', .pax = pax.data});
    CHECK(unpack_tar(&work, &tar) < 0);
    text_done(&pax);
    text_done(&deep);
    tar = (Text){0};
    tar_add(&tar, (TarEntry){.name = "x",
                             .type = '0',
                             .mode = 0600,
                             .pax = "path=dir/n\xc3\xa4me-\xe2\x82\xac"});
    CHECK_EQ(unpack_tar(&work, &tar), 0);
    CHECK_EQ(mode_of(&work, "dir/n\xc3\xa4me-\xe2\x82\xac"), S_IFREG | 0600);
}

TEST(a_dead_archive_does_not_hang)
{
    WORK;
    int pipes[2];

    CHECK_EQ(pipe2(pipes, O_CLOEXEC), 0);
    UnpackPlan plan = {
        .tree_fd = work.tree_fd, .archive_fd = pipes[0], .limits = {.bytes = 4096, .entries = 1}};
    CHECK_EQ(unpack_run(&plan, 200, &work.diff_id, &work.why), -ETIMEDOUT);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
    CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1);
}

TEST_MAIN
