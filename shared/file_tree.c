/* SPDX-License-Identifier: Apache-2.0 */
/* The part of shared/file.h that walks trees. What a container wrote may be arbitrarily deep and
 * wide: both walks go without recursion, with a bounded number of descriptors and no allocation. */
#include "shared/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "shared/cleanup.h"
#include "shared/fd.h"

enum {
    DELETE_LEVELS = 32,   /* deeper directories are moved up before they are entered */
    MEASURE_LEVELS = 256, /* as file.h promises */
    ENTRIES_SIZE = 4096,
};

/* An open directory on the way from the top, and where its scan goes on (dirent's d_off). */
typedef struct Level {
    int fd;
    off_t position;
} Level;

typedef struct Levels {
    Level level[MEASURE_LEVELS];
    size_t count;
    dev_t device;       /* of the top; no other is entered */
    unsigned int moved; /* directories that were moved up so far */
} Levels;

typedef struct Entries {
    _Alignas(struct dirent64) char bytes[ENTRIES_SIZE];
    size_t size, next;
} Entries;

static void levels_pop(Levels *levels)
{
    fd_close(&levels->level[--levels->count].fd);
}

static void levels_done(Levels *levels)
{
    while (levels->count > 0)
        levels_pop(levels);
}

/* The next entry but "." and ".."; 1, or 0 at the end, or −errno. */
static int entries_next(Entries *entries, int fd, const struct dirent64 **ret)
{
    for (;;) {
        const struct dirent64 *entry;
        if (entries->next >= entries->size) {
            ssize_t count = getdents64(fd, entries->bytes, sizeof(entries->bytes));
            if (count <= 0)
                return count < 0 ? -errno : 0;
            entries->size = (size_t)count;
            entries->next = 0;
        }
        entry = (const struct dirent64 *)(const void *)(entries->bytes + entries->next);
        entries->next += entry->d_reclen;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        *ret = entry;
        return 1;
    }
}

/* Enters the top directory or one below it; there, −EBUSY if something is mounted on it. */
static int levels_push(Levels *levels, int dir_fd, const char *name)
{
    AUTO_CLOSE int fd = -1;
    struct statx status;
    dev_t device;

    fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &status) < 0)
        return -errno;
    device = makedev(status.stx_dev_major, status.stx_dev_minor);
    if (levels->count > 0 &&
        ((status.stx_attributes & STATX_ATTR_MOUNT_ROOT) || device != levels->device))
        return -EBUSY;
    levels->device = device;
    levels->level[levels->count++] = (Level){.fd = take_fd(&fd)};
    return 0;
}

/* 0: gone, 1: a directory that is not empty, or −errno; the kernel itself refuses mount points
 * with −EBUSY. */
static int delete_entry(int dir_fd, const char *name)
{
    if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR)
        return -errno;
    if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    return errno == ENOTEMPTY || errno == EEXIST ? 1 : -errno;
}

/* Deletes what can be deleted at once. 0: at the end of the directory, 1: `ret_name` in it is a
 * directory that is not, or −errno. */
static int delete_entries(Level *level, char ret_name[NAME_MAX + 1])
{
    Entries entries = {0};
    const struct dirent64 *entry;
    off_t position = level->position;
    int r;

    if (lseek(level->fd, position, SEEK_SET) < 0)
        return -errno;
    while ((r = entries_next(&entries, level->fd, &entry)) > 0) {
        r = delete_entry(level->fd, entry->d_name);
        if (r < 0)
            return r;
        if (r > 0) {
            level->position = position;
            memcpy(ret_name, entry->d_name, strlen(entry->d_name) + 1);
            return 1;
        }
        position = entry->d_off;
    }
    return r;
}

/* Moves a directory up to the top of the tree, under a name that is free there. */
static int move_up(Levels *levels, int dir_fd, const char *name)
{
    char free_name[32];

    for (;;) {
        (void)snprintf(free_name, sizeof(free_name), ".deep-%u", levels->moved++);
        if (renameat2(dir_fd, name, levels->level[0].fd, free_name, RENAME_NOREPLACE) == 0)
            return 0;
        if (errno != EEXIST)
            return -errno;
    }
}

int file_delete_tree_at(int dir_fd, const char *name)
{
    CLEANUP(levels_done) Levels levels = {.count = 0};
    int r = delete_entry(dir_fd, name);

    if (r <= 0)
        return r;
    r = levels_push(&levels, dir_fd, name);
    /* A directory that was emptied is found again by the scan of the one above it, and deleted
     * there: so no names have to be kept on the way down. */
    while (r == 0 && levels.count > 0) {
        Level *level = &levels.level[levels.count - 1];
        char child[NAME_MAX + 1];
        r = delete_entries(level, child);
        /* Not every file system keeps positions right while entries go: a last look from the
         * start. */
        if (r == 0 && level->position != 0)
            level->position = 0;
        else if (r == 0)
            levels_pop(&levels);
        else if (r > 0 && levels.count < DELETE_LEVELS)
            r = levels_push(&levels, level->fd, child);
        else if (r > 0)
            r = move_up(&levels, level->fd, child);
    }
    if (r < 0)
        return r;
    return unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

/* What one entry uses. Of a file with several names each counts its part, so that the sum is right
 * without a table of those already seen. */
typedef struct Usage {
    uint64_t bytes;
    uint64_t inodes; /* in parts of USAGE_WHOLE */
    size_t entries;  /* met so far */
    size_t limit;
} Usage;

#define USAGE_WHOLE (UINT64_C(1) << 32)

static void usage_add(Usage *usage, const struct stat *status)
{
    uint64_t names = S_ISDIR(status->st_mode) || status->st_nlink == 0 ? 1 : status->st_nlink;

    usage->bytes += (uint64_t)status->st_blocks * 512 / names;
    usage->inodes += USAGE_WHOLE / names;
}

static int measure_enter(Levels *levels, int dir_fd, const char *name, Usage *usage)
{
    struct stat status;
    int r = levels->count < MEASURE_LEVELS ? levels_push(levels, dir_fd, name) : -ELOOP;

    if (r < 0)
        return r;
    if (fstat(levels->level[levels->count - 1].fd, &status) < 0)
        return -errno;
    usage_add(usage, &status);
    return 0;
}

/* 0: counted, 1: a directory to enter, or −errno. */
static int measure_entry(int dir_fd, const char *name, Usage *usage)
{
    struct stat status;

    if (fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (S_ISDIR(status.st_mode))
        return 1;
    usage_add(usage, &status);
    return 0;
}

/* Counts until a directory could be entered or this one is at its end. 1: entered, 0: at its end,
 * or −errno. */
static int measure_directory(Levels *levels, Usage *usage)
{
    Level *level = &levels->level[levels->count - 1];
    Entries entries = {0};
    const struct dirent64 *entry = NULL;
    int r;

    if (lseek(level->fd, level->position, SEEK_SET) < 0)
        return -errno;
    while ((r = entries_next(&entries, level->fd, &entry)) > 0) {
        if (usage->entries++ == usage->limit)
            return -E2BIG;
        r = measure_entry(level->fd, entry->d_name, usage);
        if (r > 0) {
            level->position = entry->d_off;
            r = measure_enter(levels, level->fd, entry->d_name, usage);
            if (r == 0)
                return 1;
        }
        /* What is mounted there, or was removed or replaced meanwhile, is left out. */
        if (r < 0 && r != -EBUSY && r != -ENOENT && r != -ENOTDIR)
            return r;
    }
    return r;
}

int file_measure_small_tree_at(int dir_fd, const char *name, size_t limit, uint64_t *ret_bytes,
                               uint64_t *ret_inodes)
{
    CLEANUP(levels_done) Levels levels = {.count = 0};
    Usage usage = {.limit = limit};
    int r = measure_enter(&levels, dir_fd, name, &usage);

    while (r >= 0 && levels.count > 0) {
        r = measure_directory(&levels, &usage);
        if (r == 0)
            levels_pop(&levels);
    }
    if (r < 0)
        return r;
    *ret_bytes = usage.bytes;
    *ret_inodes = (usage.inodes + USAGE_WHOLE / 2) / USAGE_WHOLE;
    return 0;
}

int file_measure_tree_at(int dir_fd, const char *name, uint64_t *ret_bytes, uint64_t *ret_inodes)
{
    return file_measure_small_tree_at(dir_fd, name, SIZE_MAX, ret_bytes, ret_inodes);
}
