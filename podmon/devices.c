/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/devices.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "shared/cleanup.h"
#include "shared/path.h"
#include "shared/text.h"

enum {
    DEVICES_MAX = 4096,
    DEPTH_MAX = 16,
};

static const struct {
    const char *name;
    unsigned int major, minor;
} default_nodes[] = {
    {"null", 1, 3},   {"zero", 1, 5},    {"full", 1, 7},
    {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
};

static const struct {
    const char *name, *target;
} default_links[] = {
    {"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
    {"stderr", "/proc/self/fd/2"}, {"ptmx", "pts/ptmx"},
};

/* Mount points of /dev, and what a container has its own of: none of these is copied. */
static const char *const own_names[] = {"pts",    "shm",    "mqueue", "fd",     "stdin",
                                        "stdout", "stderr", "ptmx",   "console"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

void devices_done(DeviceList *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->devices[i].container_path);
        free(list->devices[i].host_path);
    }
    free(list->devices);
    *list = (DeviceList){0};
}

/* A later entry for the same path replaces the earlier one. */
static int list_add(DeviceList *list, const char *container_path, const char *host_path,
                    const struct stat *status, const char *access)
{
    AUTO_FREE char *container_copy = strdup(container_path);
    AUTO_FREE char *host_copy = strdup(host_path);
    Device *grown, *device;

    if (!container_copy || !host_copy)
        return -ENOMEM;
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->devices[i].container_path, container_path) == 0) {
            free(list->devices[i].container_path);
            free(list->devices[i].host_path);
            list->devices[i] = list->devices[--list->count];
            break;
        }
    if (list->count == DEVICES_MAX)
        return -E2BIG;
    if ((list->count & (list->count + 1)) == 0) {
        grown = reallocarray(list->devices, 2 * (list->count + 1), sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        list->devices = grown;
    }
    device = &list->devices[list->count++];
    *device = (Device){TAKE(container_copy),
                       TAKE(host_copy),
                       status->st_mode,
                       status->st_uid,
                       status->st_gid,
                       status->st_rdev,
                       ""};
    (void)snprintf(device->access, sizeof(device->access), "%s", access);
    return 0;
}

static bool is_node(const struct stat *status)
{
    return S_ISCHR(status->st_mode) || S_ISBLK(status->st_mode);
}

static bool is_own_name(const char *name)
{
    for (size_t i = 0; i < COUNT(own_names); i++)
        if (strcmp(own_names[i], name) == 0)
            return true;
    return false;
}

static int list_add_tree(DeviceList *list, const char *container_path, const char *host_path,
                         const char *access, bool is_dev, int depth);

static int list_add_entry(DeviceList *list, DIR *directory, const char *name,
                          const char *container_path, const char *host_path, const char *access,
                          int depth)
{
    char inside[PATH_MAX], outside[PATH_MAX];
    struct stat status;

    if (snprintf(inside, sizeof(inside), "%s/%s", container_path, name) >= PATH_MAX ||
        snprintf(outside, sizeof(outside), "%s/%s", host_path, name) >= PATH_MAX)
        return -ENAMETOOLONG;
    if (fstatat(dirfd(directory), name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (S_ISDIR(status.st_mode))
        return depth < DEPTH_MAX ? list_add_tree(list, inside, outside, access, false, depth + 1)
                                 : 0;
    return is_node(&status) ? list_add(list, inside, outside, &status, access) : 0;
}

/* Every node below a directory of the host's; links and other files are left out. */
static int list_add_tree(DeviceList *list, const char *container_path, const char *host_path,
                         const char *access, bool is_dev, int depth)
{
    DIR *directory = opendir(host_path);
    int r = 0;

    if (!directory)
        return errno == ENOENT && depth > 0 ? 0 : -errno;
    for (struct dirent *entry; r >= 0 && (entry = readdir(directory));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            (is_dev && is_own_name(entry->d_name)))
            continue;
        r = list_add_entry(list, directory, entry->d_name, container_path, host_path, access,
                           depth);
    }
    (void)closedir(directory);
    return r;
}

static int list_add_asked(DeviceList *list, const Podmon__Device *device, Failure *why)
{
    const char *access = *device->permissions ? device->permissions : "rwm";
    char inside[PATH_MAX];
    struct stat status;
    int r;

    if (strlen(access) > 3 || access[strspn(access, "rwm")])
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "device \"%s\": permissions \"%s\" are not of the letters r, w, m",
                           device->host_path, access);
    if (path_clean(device->container_path, inside) < 0 || !inside[1])
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "device \"%s\": container path \"%s\" is not absolute",
                           device->host_path, device->container_path);
    if (*device->host_path != '/' || stat(device->host_path, &status) < 0)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "device \"%s\" is not on this host",
                           device->host_path);
    if (S_ISDIR(status.st_mode))
        r = list_add_tree(list, inside, device->host_path, access,
                          strcmp(device->host_path, "/dev") == 0, 0);
    else if (is_node(&status))
        r = list_add(list, inside, device->host_path, &status, access);
    else
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "device \"%s\" is neither a device nor a directory", device->host_path);
    if (r < 0)
        return failure_set(why, r == -E2BIG ? FAILURE_INVALID_ARGUMENT : FAILURE_INTERNAL, -r,
                           "cannot list device \"%s\"", device->host_path);
    return 0;
}

int devices_list(const Podmon__ContainerSpec *spec, DeviceList *ret, Failure *why)
{
    CLEANUP(devices_done) DeviceList list = {0};
    int r;

    if (spec->security && spec->security->all_devices) {
        r = list_add_tree(&list, "/dev", "/dev", "rwm", true, 0);
        if (r < 0)
            return failure_set(why, FAILURE_INTERNAL, -r, "cannot list the host's /dev");
    }
    for (size_t i = 0; i < spec->n_devices; i++) {
        r = list_add_asked(&list, spec->devices[i], why);
        if (r < 0)
            return r;
    }
    *ret = list;
    list = (DeviceList){0};
    return 0;
}

static int make_node(int dev_fd, const char *name, mode_t mode, dev_t number, uid_t uid, gid_t gid)
{
    if (mknodat(dev_fd, name, mode, number) < 0)
        return -errno;
    /* The umask is not to have a say. */
    if (fchmodat(dev_fd, name, mode & 07777, 0) < 0 ||
        ((uid != 0 || gid != 0) && fchownat(dev_fd, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0))
        return -errno;
    return 0;
}

static int make_defaults(int dev_fd)
{
    static const char *const directories[] = {"pts", "shm", "mqueue"};
    int r;

    for (size_t i = 0; i < COUNT(default_nodes); i++) {
        r = make_node(dev_fd, default_nodes[i].name, S_IFCHR | 0666,
                      makedev(default_nodes[i].major, default_nodes[i].minor), 0, 0);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < COUNT(default_links); i++)
        if (symlinkat(default_links[i].target, dev_fd, default_links[i].name) < 0)
            return -errno;
    for (size_t i = 0; i < COUNT(directories); i++)
        if (mkdirat(dev_fd, directories[i], 0755) < 0)
            return -errno;
    return mknodat(dev_fd, "console", S_IFREG | 0600, 0) < 0 ? -errno : 0;
}

/* A device of the spec may have the name of a default one, and replaces it. */
static int make_device(int dev_fd, const Device *device)
{
    const char *path = device->container_path + strlen("/dev");
    const char *name = strrchr(path, '/') + 1;
    AUTO_CLOSE int parent_fd = -1;
    char parent[PATH_MAX];
    int r;

    (void)snprintf(parent, sizeof(parent), "%.*s/", (int)(name - path - 1), path);
    parent_fd = path_make_in_root(dev_fd, parent, PATH_DIRECTORY, 0755);
    if (parent_fd < 0)
        return parent_fd;
    r = make_node(parent_fd, name, device->mode, device->number, device->uid, device->gid);
    if (r != -EEXIST)
        return r;
    if (unlinkat(parent_fd, name, 0) < 0)
        return -errno;
    return make_node(parent_fd, name, device->mode, device->number, device->uid, device->gid);
}

int devices_populate(int dev_fd, const DeviceList *list, Failure *why)
{
    int r = make_defaults(dev_fd);

    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot make the container's /dev");
    for (size_t i = 0; i < list->count; i++) {
        if (!text_starts_with(list->devices[i].container_path, "/dev/"))
            continue;
        r = make_device(dev_fd, &list->devices[i]);
        if (r < 0)
            return failure_set(why, FAILURE_INTERNAL, -r, "cannot make device \"%s\"",
                               list->devices[i].container_path);
    }
    return 0;
}

static int add_rule(char ***rules, char type, const char *number, const char *access)
{
    char rule[64];

    (void)snprintf(rule, sizeof(rule), "%c %s %s", type, number, access);
    return text_list_add(rules, rule);
}

/* Nodes may be made of any kind; only those of the list and the container's own ptys are used. */
static int add_default_rules(char ***rules)
{
    char number[32];
    int r;

    if ((r = add_rule(rules, 'c', "*:*", "m")) < 0 || (r = add_rule(rules, 'b', "*:*", "m")) < 0 ||
        (r = add_rule(rules, 'c', "136:*", "rwm")) < 0 ||
        (r = add_rule(rules, 'c', "5:2", "rwm")) < 0)
        return r;
    for (size_t i = 0; i < COUNT(default_nodes); i++) {
        (void)snprintf(number, sizeof(number), "%u:%u", default_nodes[i].major,
                       default_nodes[i].minor);
        r = add_rule(rules, 'c', number, "rwm");
        if (r < 0)
            return r;
    }
    return 0;
}

int devices_rules(const Podmon__ContainerSpec *spec, char ***ret, Failure *why)
{
    CLEANUP(devices_done) DeviceList list = {0};
    CLEANUP(text_list_cleanup) char **rules = NULL;
    char number[32];
    int r;

    if (spec->security && spec->security->all_devices) {
        r = text_list_add(&rules, "a");
    } else {
        r = devices_list(spec, &list, why);
        if (r < 0)
            return r;
        r = add_default_rules(&rules);
    }
    for (size_t i = 0; r >= 0 && i < list.count; i++) {
        const Device *device = &list.devices[i];

        (void)snprintf(number, sizeof(number), "%u:%u", major(device->number),
                       minor(device->number));
        r = add_rule(&rules, S_ISCHR(device->mode) ? 'c' : 'b', number, device->access);
    }
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot list the devices' rules");
    *ret = TAKE(rules);
    return 0;
}
