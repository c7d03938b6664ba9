/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/file.h"
#include "shared/path.h"

#define WHITEOUT_PREFIX ".wh."
#define WHITEOUT_META_PREFIX ".wh..wh."
#define WHITEOUT_OPAQUE ".wh..wh..opq"

enum { TREE_DEPTH_MAX = 200 };

typedef struct DirectoryTimes {
    struct DirectoryTimes *next;
    struct timespec times[2];
    char path[];
} DirectoryTimes;

struct Tree {
    int root_fd;
    TreeHelper helper;
    DirectoryTimes *directories; /* in the archive's order: the last entry of a path counts */
    DirectoryTimes **directories_end;
    char parent_path[PATH_MAX]; /* the directory that parent_fd is, while it is ≥ 0 */
    int parent_fd;
    bool root_is_given; /* the archive has an entry for it */
};

int tree_new(int root_fd, const TreeHelper *helper, Tree **ret)
{
    Tree *tree = calloc(1, sizeof(*tree));

    if (!tree)
        return -ENOMEM;
    tree->root_fd = root_fd;
    tree->directories_end = &tree->directories;
    tree->parent_fd = -1;
    if (helper)
        tree->helper = *helper;
    *ret = tree;
    return 0;
}

Tree *tree_free(Tree *tree)
{
    if (!tree)
        return NULL;
    while (tree->directories) {
        DirectoryTimes *next = tree->directories->next;

        free(tree->directories);
        tree->directories = next;
    }
    if (tree->parent_fd >= 0)
        (void)close(tree->parent_fd);
    free(tree);
    return NULL;
}

static int refuse(const TreeEntry *entry, Failure *why, const char *reason)
{
    return failure_say(why, FAILURE_INVALID_ARGUMENT, "entry \"%.300s\": %s", entry->path, reason);
}

static int fail(const TreeEntry *entry, Failure *why, int error, const char *action)
{
    return failure_set(why, FAILURE_INTERNAL, error, "entry \"%.300s\": cannot %s", entry->path,
                       action);
}

/* "/a//./b/" → "a/b"; the root is "". ".." is refused: no honest archive has it. */
static int split_path(const TreeEntry *entry, const char *path, char ret[PATH_MAX], Failure *why)
{
    size_t used = 0, depth = 0;

    for (const char *at = path; *at;) {
        size_t length = strcspn(at, "/");

        if (length == 2 && strncmp(at, "..", 2) == 0)
            return refuse(entry, why, "\"..\" in a path");
        if (length > NAME_MAX || used + length + 2 > PATH_MAX || ++depth > TREE_DEPTH_MAX)
            return refuse(entry, why, "the path is too long");
        if (length > 0 && !(length == 1 && *at == '.')) {
            if (used)
                ret[used++] = '/';
            memcpy(ret + used, at, length);
            used += length;
        }
        at += length;
        at += strspn(at, "/");
    }
    ret[used] = 0;
    return 0;
}

/* Splits off the last component: `path` becomes that of the parent ("" is the root). */
static const char *cut_name(char *path)
{
    char *slash = strrchr(path, '/');

    if (!slash) {
        memmove(path + 1, path, strlen(path) + 1);
        path[0] = 0;
        return path + 1;
    }
    *slash = 0;
    return slash + 1;
}

static void forget_parent(Tree *tree)
{
    if (tree->parent_fd >= 0)
        (void)close(take_fd(&tree->parent_fd));
}

static bool is_whiteout(const struct stat *status)
{
    return S_ISCHR(status->st_mode) && status->st_rdev == 0;
}

/* A directory where a whiteout of this layer was: both together mean an opaque one. */
static int make_directory(Tree *tree, int parent_fd, const char *name, int *ret)
{
    AUTO_CLOSE int fd = -1;
    struct stat status;
    bool opaque = false;
    int r;

    if (fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0) {
        opaque = is_whiteout(&status);
        r = file_delete_tree_at(parent_fd, name);
        if (r < 0)
            return r;
    }
    if (mkdirat(parent_fd, name, 0755) < 0)
        return -errno;
    fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchmod(fd, 0755) < 0)
        return -errno;
    if (opaque && tree->helper.make_opaque) {
        r = tree->helper.make_opaque(tree->helper.context, fd);
        if (r < 0)
            return r;
    }
    *ret = take_fd(&fd);
    return 0;
}

/* Makes the directories of `path` that the archive has left out, one after the other. */
static int make_parents(Tree *tree, const char *path, Failure *why, const TreeEntry *entry)
{
    AUTO_CLOSE int dir_fd = path_open_in_root(tree->root_fd, "/", O_RDONLY | O_DIRECTORY);
    char begun[PATH_MAX];

    if (dir_fd < 0)
        return fail(entry, why, -dir_fd, "open the layer");
    for (const char *at = path; *at;) {
        size_t length = strcspn(at, "/"), end = (size_t)(at - path) + length;
        struct stat status;
        int fd, r = 0;

        memcpy(begun, path, end);
        begun[end] = 0;
        fd = path_open_in_root(tree->root_fd, begun, O_RDONLY | O_DIRECTORY);
        if (fd < 0) {
            const char *name = begun + (at - path);

            if (fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && !is_whiteout(&status))
                return refuse(entry, why, "a part of its path is no directory");
            r = make_directory(tree, dir_fd, name, &fd);
            if (r == 0 && tree->helper.adopt)
                r = tree->helper.adopt(tree->helper.context, fd, begun);
        }
        (void)close(dir_fd);
        dir_fd = fd;
        if (r < 0)
            return fail(entry, why, -r, "make its directory");
        at += length;
        at += *at == '/';
    }
    return 0;
}

/* *ret is borrowed until the next entry. */
static int open_parent(Tree *tree, const TreeEntry *entry, const char *path, int *ret, Failure *why)
{
    const char *where = path[0] ? path : "/";
    int fd, r;

    if (tree->parent_fd < 0 || strcmp(tree->parent_path, path) != 0) {
        forget_parent(tree);
        fd = path_open_in_root(tree->root_fd, where, O_RDONLY | O_DIRECTORY);
        if (fd < 0) {
            r = make_parents(tree, path, why, entry);
            if (r < 0)
                return r;
            fd = path_open_in_root(tree->root_fd, where, O_RDONLY | O_DIRECTORY);
        }
        if (fd < 0)
            return fail(entry, why, -fd, "open its directory");
        tree->parent_fd = fd;
        memcpy(tree->parent_path, path, strlen(path) + 1); /* as long as split_path lets it be */
    }
    *ret = tree->parent_fd;
    return 0;
}

/* user.* and file capabilities; all else would be the host's business or the overlay's. */
static bool attribute_is_kept(const char *name)
{
    return strncmp(name, "user.", 5) == 0 || strcmp(name, "security.capability") == 0;
}

/* Owner before mode and capabilities: changing it clears both. A file system without user.*
 * attributes loses them; one without file capabilities is refused. */
static int set_metadata(const TreeEntry *entry, int fd, Failure *why)
{
    if (fchown(fd, (uid_t)entry->uid, (gid_t)entry->gid) < 0)
        return fail(entry, why, errno, "set its owner");
    if (fchmod(fd, entry->mode & 07777) < 0)
        return fail(entry, why, errno, "set its mode");
    for (size_t i = 0; i < entry->attributes_count; i++) {
        const TreeAttribute *attribute = &entry->attributes[i];

        if (attribute_is_kept(attribute->name) &&
            fsetxattr(fd, attribute->name, attribute->value, attribute->size, 0) < 0 &&
            (errno != EOPNOTSUPP || attribute->name[0] != 'u'))
            return failure_set(why, FAILURE_INTERNAL, errno,
                               "entry \"%.300s\": cannot set its attribute %.255s", entry->path,
                               attribute->name);
    }
    if (futimens(fd, entry->times) < 0)
        return fail(entry, why, errno, "set its times");
    return 0;
}

static int remember_times(Tree *tree, const TreeEntry *entry, const char *path)
{
    size_t size = strlen(path) + 1;
    DirectoryTimes *times = malloc(sizeof(*times) + size);

    if (!times)
        return -ENOMEM;
    memcpy(times->times, entry->times, sizeof(times->times));
    memcpy(times->path, path, size);
    times->next = NULL;
    *tree->directories_end = times;
    tree->directories_end = &times->next;
    return 0;
}

static int add_directory(Tree *tree, const TreeEntry *entry, const char *path, int parent_fd,
                         const char *name, Failure *why)
{
    AUTO_CLOSE int fd = -1;
    int r;

    fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        r = make_directory(tree, parent_fd, name, &fd);
        if (r < 0)
            return fail(entry, why, -r, "make it");
    }
    r = set_metadata(entry, fd, why);
    if (r < 0)
        return r;
    r = remember_times(tree, entry, path);
    return r < 0 ? fail(entry, why, -r, "remember its times") : 0;
}

/* Hard links lead to what this layer has: never through a last link, never out. */
static int add_link(Tree *tree, const TreeEntry *entry, int parent_fd, const char *name,
                    Failure *why)
{
    AUTO_CLOSE int target_parent_fd = -1;
    char target[PATH_MAX] = "";
    const char *target_name;
    struct stat status, old;
    int r = split_path(entry, entry->link, target, why);

    if (r < 0)
        return r;
    if (!target[0])
        return refuse(entry, why, "a hard link to the root");
    target_name = cut_name(target);
    target_parent_fd =
        path_open_in_root(tree->root_fd, target[0] ? target : "/", O_PATH | O_DIRECTORY);
    if (target_parent_fd < 0 ||
        fstatat(target_parent_fd, target_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "entry \"%.300s\": a hard link to \"%.300s\", which is not in the layer",
                           entry->path, entry->link);
    if (S_ISDIR(status.st_mode) || is_whiteout(&status))
        return refuse(entry, why, "a hard link to what cannot have one");
    if (fstatat(parent_fd, name, &old, AT_SYMLINK_NOFOLLOW) == 0) {
        if (old.st_dev == status.st_dev && old.st_ino == status.st_ino)
            return 0;
        r = file_delete_tree_at(parent_fd, name);
        if (r < 0)
            return fail(entry, why, -r, "replace what is there");
    }
    /* Deleting what was there may have taken the target along. */
    if (linkat(target_parent_fd, target_name, parent_fd, name, 0) < 0)
        return fail(entry, why, errno, "link it");
    return 0;
}

static int set_node_metadata(const TreeEntry *entry, int parent_fd, const char *name, Failure *why)
{
    if (fchownat(parent_fd, name, (uid_t)entry->uid, (gid_t)entry->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return fail(entry, why, errno, "set its owner");
    /* Nobody else works in this tree, and what was just made under this name is no link. */
    if (!S_ISLNK(entry->mode) && fchmodat(parent_fd, name, entry->mode & 07777, 0) < 0)
        return fail(entry, why, errno, "set its mode");
    if (utimensat(parent_fd, name, entry->times, AT_SYMLINK_NOFOLLOW) < 0)
        return fail(entry, why, errno, "set its times");
    return 0;
}

static int add_node(const TreeEntry *entry, int parent_fd, const char *name, Failure *why)
{
    bool device = S_ISCHR(entry->mode) || S_ISBLK(entry->mode);

    if (S_ISLNK(entry->mode)) {
        if (!entry->link || !entry->link[0])
            return refuse(entry, why, "a link to nothing");
        if (symlinkat(entry->link, parent_fd, name) < 0)
            return fail(entry, why, errno, "make the link");
    } else if (device || S_ISFIFO(entry->mode)) {
        if (S_ISCHR(entry->mode) && entry->device == 0)
            return refuse(entry, why, "character device 0:0 is how the kernel spells a whiteout");
        if (mknodat(parent_fd, name, (entry->mode & S_IFMT) | 0600, device ? entry->device : 0) < 0)
            return fail(entry, why, errno, "make the node");
    } else {
        return refuse(entry, why, "a kind of file that a layer cannot have");
    }
    return set_node_metadata(entry, parent_fd, name, why);
}

static int add_whiteout(Tree *tree, const TreeEntry *entry, int parent_fd, const char *name,
                        Failure *why)
{
    const char *hidden = name + strlen(WHITEOUT_PREFIX);
    struct stat status;

    if (strcmp(name, WHITEOUT_OPAQUE) == 0) {
        int r = tree->helper.make_opaque ? tree->helper.make_opaque(tree->helper.context, parent_fd)
                                         : 0;

        return r < 0 ? fail(entry, why, -r, "mark its directory as opaque") : 0;
    }
    if (!path_is_name(hidden))
        return refuse(entry, why, "a whiteout of nothing");
    if (fstatat(parent_fd, hidden, &status, AT_SYMLINK_NOFOLLOW) == 0) {
        AUTO_CLOSE int fd = -1;
        int r = 0;

        /* A whiteout hides what is below, not what its own layer has. */
        if (!S_ISDIR(status.st_mode))
            return 0;
        fd = openat(parent_fd, hidden, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            return fail(entry, why, errno, "open what it hides");
        if (tree->helper.make_opaque)
            r = tree->helper.make_opaque(tree->helper.context, fd);
        return r < 0 ? fail(entry, why, -r, "mark a directory as opaque") : 0;
    }
    if (mknodat(parent_fd, hidden, S_IFCHR, makedev(0, 0)) < 0)
        return fail(entry, why, errno, "make the whiteout");
    return 0;
}

static int check_numbers(const TreeEntry *entry, Failure *why)
{
    if (entry->uid < 0 || entry->uid >= UINT32_MAX || entry->gid < 0 || entry->gid >= UINT32_MAX)
        return refuse(entry, why, "its owner is no user or group id");
    if (entry->size > INT64_MAX)
        return refuse(entry, why, "its size is out of range");
    return 0;
}

/* Few files replace another: whether this one does is found out by trying. */
static int open_new_file(int parent_fd, const char *name)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(parent_fd, name, flags, 0600), r;

    if (fd < 0 && errno == EEXIST) {
        r = file_delete_tree_at(parent_fd, name);
        if (r < 0)
            return r;
        fd = openat(parent_fd, name, flags, 0600);
    }
    return fd < 0 ? -errno : fd;
}

int tree_add(Tree *tree, const TreeEntry *entry, int *ret_fd, Failure *why)
{
    char path[PATH_MAX] = "", parent[PATH_MAX + 1];
    const char *name;
    int parent_fd = -1, r;

    *ret_fd = -1;
    if ((r = check_numbers(entry, why)) < 0 || (r = split_path(entry, entry->path, path, why)) < 0)
        return r;
    if (!path[0]) {
        if (!S_ISDIR(entry->mode))
            return refuse(entry, why, "the layer's root must be a directory");
        tree->root_is_given = true;
        r = set_metadata(entry, tree->root_fd, why);
        return r < 0 ? r : remember_times(tree, entry, path);
    }
    /* What aufs kept for itself in old images, below such a directory or as such a file. */
    if (strncmp(path, WHITEOUT_META_PREFIX, strlen(WHITEOUT_META_PREFIX)) == 0 &&
        strcmp(path, WHITEOUT_OPAQUE) != 0)
        return 0;

    (void)snprintf(parent, sizeof(parent), "%s", path);
    name = cut_name(parent);
    if (strncmp(parent, WHITEOUT_PREFIX, 4) == 0 || strstr(parent, "/" WHITEOUT_PREFIX))
        return refuse(entry, why, "a directory with the name of a whiteout");
    r = open_parent(tree, entry, parent, &parent_fd, why);
    if (r < 0)
        return r;

    if (strncmp(name, WHITEOUT_PREFIX, strlen(WHITEOUT_PREFIX)) == 0)
        return add_whiteout(tree, entry, parent_fd, name, why);
    if (entry->link && !S_ISLNK(entry->mode))
        return add_link(tree, entry, parent_fd, name, why);
    if (S_ISDIR(entry->mode))
        return add_directory(tree, entry, path, parent_fd, name, why);

    if (!S_ISREG(entry->mode)) {
        r = file_delete_tree_at(parent_fd, name);
        return r < 0 ? fail(entry, why, -r, "replace what is there")
                     : add_node(entry, parent_fd, name, why);
    }
    *ret_fd = open_new_file(parent_fd, name);
    return *ret_fd < 0 ? fail(entry, why, -*ret_fd, "make the file") : 0;
}

int tree_finish_file(const TreeEntry *entry, int fd, uint64_t written, Failure *why)
{
    /* A sparse file may end in a hole. */
    int r = written != entry->size && ftruncate(fd, (off_t)entry->size) < 0
                ? fail(entry, why, errno, "set its size")
                : set_metadata(entry, fd, why);

    if (close(fd) < 0 && r == 0)
        r = fail(entry, why, errno, "close it");
    return r;
}

int tree_finish(Tree *tree, Failure *why)
{
    int r = 0;

    forget_parent(tree);
    if (!tree->root_is_given && tree->helper.adopt)
        r = tree->helper.adopt(tree->helper.context, tree->root_fd, "");
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot set the mode of the layer's root");
    /* A path whose directory has been replaced since is passed over. */
    for (DirectoryTimes *at = tree->directories; at; at = at->next) {
        AUTO_CLOSE int fd =
            at->path[0] ? path_open_beneath(tree->root_fd, at->path, O_RDONLY | O_DIRECTORY, 0)
                        : fcntl(tree->root_fd, F_DUPFD_CLOEXEC, 3);

        if (fd >= 0 && futimens(fd, at->times) < 0)
            return failure_set(why, FAILURE_INTERNAL, errno,
                               "cannot set the times of directory \"%.300s\"", at->path);
    }
    return 0;
}
