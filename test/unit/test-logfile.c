/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "podmon/logfile.h"
#include "shared/cleanup.h"
#include "shared/file.h"
#include "test/unit/test.h"

static char directory[64];

static bool make_directory(void)
{
    (void)snprintf(directory, sizeof(directory), "/tmp/podmon-logfile-XXXXXX");
    return mkdtemp(directory) != NULL;
}

static void remove_directory(void)
{
    (void)file_delete_tree_at(AT_FDCWD, directory);
}

static void write_line(LogFile *file, const char *text)
{
    static LogLine line;
    LogBatch batch;

    logline_init(&line, "stdout");
    logbatch_begin(&batch, &line, 1);
    (void)logline_take(&line, text, strlen(text), &batch);
    logfile_write(file, &batch);
}

/* The text of a file below the directory. */
static char *read_back(const char *name)
{
    AUTO_CLOSE int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char *text = NULL;

    return file_read_at(fd, name, 16 * 1024 * 1024, &text, NULL) < 0 ? NULL : text;
}

TEST(paths)
{
    static const char *const good[] = {"0.log", "c/0.log", "a/b/c..d"};
    static const char *const bad[] = {"",     "/0.log", "../0.log", "a/../b",
                                      "a//b", "a/",     ".",        "a\nb"};

    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        CHECK(logfile_path_is_valid(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        CHECK(!logfile_path_is_valid(bad[i]));
}

TEST(opens_appends_and_opens_again)
{
    LogFile file = LOG_FILE_NONE;
    Failure why = {0};
    char path[128], old[128];
    struct stat status;

    CHECK(make_directory());
    CHECK_EQ(logfile_open(&file, directory, "c/0.log", &why), 0);
    write_line(&file, "one\n");
    (void)snprintf(path, sizeof(path), "%s/c/0.log", directory);
    (void)snprintf(old, sizeof(old), "%s/c/0.log.1", directory);
    CHECK_EQ(stat(path, &status), 0);
    CHECK_EQ(status.st_mode & 07777, 0640);
    CHECK_EQ(rename(path, old), 0);
    write_line(&file, "two\n");
    CHECK_EQ(logfile_open(&file, directory, "c/0.log", &why), 0);
    write_line(&file, "three\n");
    logfile_close(&file);
    AUTO_FREE char *first = read_back("c/0.log.1");
    AUTO_FREE char *second = read_back("c/0.log");
    CHECK(first && strstr(first, " one\n") && strstr(first, " two\n"));
    CHECK(second && strstr(second, " three\n") && !strstr(second, " two\n"));
    remove_directory();
}

/* hardening: what lies in the directory may have been put there by the pod. */
TEST(takes_only_regular_files)
{
    LogFile file = LOG_FILE_NONE;
    Failure why = {0};
    char path[128];

    CHECK(make_directory());
    (void)snprintf(path, sizeof(path), "%s/link", directory);
    CHECK_EQ(symlink("/etc/hostname", path), 0);
    CHECK(logfile_open(&file, directory, "link", &why) < 0);
    CHECK_EQ(why.code, FAILURE_FAILED_PRECONDITION);
    (void)snprintf(path, sizeof(path), "%s/fifo", directory);
    CHECK_EQ(mkfifo(path, 0600), 0);
    CHECK(logfile_open(&file, directory, "fifo", &why) < 0);
    CHECK_EQ(why.code, FAILURE_FAILED_PRECONDITION);
    (void)snprintf(path, sizeof(path), "%s/out", directory);
    CHECK_EQ(symlink("/tmp", path), 0);
    CHECK(logfile_open(&file, directory, "out/0.log", &why) < 0);
    CHECK_EQ(file.fd, -1);
    remove_directory();
}

TEST(failing_to_open_keeps_the_old_file)
{
    LogFile file = LOG_FILE_NONE;
    Failure why = {0};
    int fd;

    CHECK(make_directory());
    CHECK_EQ(logfile_open(&file, directory, "0.log", &why), 0);
    fd = file.fd;
    CHECK(logfile_open(&file, "/proc", "0.log", &why) < 0);
    CHECK_EQ(file.fd, fd);
    logfile_close(&file);
    remove_directory();
}

TEST(a_full_disk_loses_whole_records_and_says_so)
{
    static char long_line[8000];
    LogFile file = LOG_FILE_NONE;
    Failure why = {0};
    char path[128];
    int written = 0;

    CHECK(make_directory());
    if (geteuid() != 0 || mount("tmpfs", directory, "tmpfs", 0, "size=64k") < 0) {
        remove_directory();
        SKIP("needs the right to mount");
    }
    memset(long_line, 'x', sizeof(long_line) - 2);
    long_line[sizeof(long_line) - 2] = '\n';
    CHECK_EQ(logfile_open(&file, directory, "0.log", &why), 0);
    while (file.dropped == 0 && written++ < 100)
        write_line(&file, long_line);
    write_line(&file, long_line);
    unsigned long long dropped = file.dropped;
    AUTO_FREE char *full = read_back("0.log");
    (void)snprintf(path, sizeof(path), "%s/0.log", directory);
    CHECK_EQ(truncate(path, 0), 0);
    write_line(&file, "again\n");
    AUTO_FREE char *after = read_back("0.log");
    logfile_close(&file);
    (void)umount2(directory, MNT_DETACH);
    remove_directory();

    CHECK_EQ(dropped, 2);
    CHECK(full && strlen(full) > 0 && full[strlen(full) - 1] == '\n');
    CHECK(after && strstr(after, "2 log records were lost here\n") && strstr(after, " again\n"));
    CHECK_EQ(file.dropped, 0);
}

TEST_MAIN
