/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/relabel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "shared/cleanup.h"

enum { LEVELS_MAX = 128, ENTRIES_SIZE = 8192 };

/* /proc/self/fd/N without the formatting functions, which are not async-signal-safe. */
static void print_link(int fd, char ret[32])
{
    static const char prefix[] = "/proc/self/fd/";
    char digits[12];
    size_t count = 0, length = sizeof(prefix) - 1;

    do
        digits[count++] = (char)('0' + fd % 10);
    while ((fd /= 10) > 0);
    memcpy(ret, prefix, length);
    while (count > 0)
        ret[length++] = digits[--count];
    ret[length] = '\0';
}

int relabel_file(int fd, const char *label)
{
    char link[32];

    if (!*label)
        return 0;
    print_link(fd, link);
    if (setxattr(link, "security.selinux", label, strlen(label) + 1, 0) < 0 && errno != ENOTSUP)
        return -errno;
    return 0;
}

static int relabel_below(int path_fd, const char *label, int level);

static int relabel_entry(int directory_fd, const char *name, const char *label, int level)
{
    AUTO_CLOSE int fd = -1;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return 0;
    fd = openat(directory_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    return relabel_below(fd, label, level + 1);
}

static int relabel_below(int path_fd, const char *label, int level)
{
    _Alignas(struct dirent64) char entries[ENTRIES_SIZE];
    AUTO_CLOSE int fd = -1;
    struct stat status;
    int r = level > LEVELS_MAX ? -ELOOP : relabel_file(path_fd, label);

    if (r < 0)
        return r;
    if (fstat(path_fd, &status) < 0)
        return -errno;
    if (!S_ISDIR(status.st_mode))
        return 0;
    fd = openat(path_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    for (;;) {
        long size = syscall(SYS_getdents64, fd, entries, sizeof(entries));

        if (size <= 0)
            return size < 0 && errno != ENOENT ? -errno : 0;
        for (long offset = 0; offset < size;) {
            const struct dirent64 *entry = (const void *)(entries + offset);

            r = relabel_entry(fd, entry->d_name, label, level);
            if (r < 0)
                return r;
            offset += entry->d_reclen;
        }
    }
}

int relabel_tree(int fd, const char *label)
{
    return *label ? relabel_below(fd, label, 0) : 0;
}

bool relabel_is_allowed(int fd)
{
    static const char *const hosts[] = {
        "/",        "/bin",        "/boot",       "/dev",     "/etc",     "/home",     "/lib",
        "/lib64",   "/media",      "/mnt",        "/opt",     "/proc",    "/root",     "/run",
        "/sbin",    "/srv",        "/sys",        "/tmp",     "/usr",     "/var",      "/var/lib",
        "/var/log", "/etc/passwd", "/etc/shadow", "/usr/bin", "/usr/lib", "/usr/sbin",
    };
    struct stat wanted, host;

    if (fstat(fd, &wanted) < 0)
        return false;
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
        if (stat(hosts[i], &host) == 0 && host.st_dev == wanted.st_dev &&
            host.st_ino == wanted.st_ino)
            return false;
    return true;
}
