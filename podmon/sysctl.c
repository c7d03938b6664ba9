/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/path.h"
#include "shared/text.h"

enum { VALUE_MAX = 4096 };

typedef enum Owner { OWNER_NONE, OWNER_NETWORK, OWNER_IPC } Owner;

/* The first separator decides, as in sysctl(8): after a '/', a dot is part of a name ("eth0.1"). */
static bool key_to_path(const char *key, char ret[PATH_MAX])
{
    size_t length = strlen(key);
    bool dots = key[strcspn(key, "./")] != '/';

    if (length == 0 || length >= PATH_MAX ||
        key[strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-/")])
        return false;
    for (size_t i = 0; i <= length; i++)
        ret[i] = key[i] == '.' && dots ? '/' : key[i];
    for (const char *part = ret;; part++) {
        size_t size = strcspn(part, "/");

        if (size == 0 || (size <= 2 && strspn(part, ".") >= size))
            return false;
        part += size;
        if (!*part)
            return true;
    }
}

static Owner path_owner(const char *path)
{
    if (text_starts_with(path, "net/"))
        return OWNER_NETWORK;
    if (text_starts_with(path, "kernel/shm") || text_starts_with(path, "kernel/msg") ||
        strcmp(path, "kernel/sem") == 0 || text_starts_with(path, "fs/mqueue/"))
        return OWNER_IPC;
    return OWNER_NONE;
}

static bool value_is_valid(const char *value)
{
    if (strlen(value) > VALUE_MAX)
        return false;
    for (; *value; value++)
        if (((unsigned char)*value < 0x20 && *value != '\t') || *value == 0x7f)
            return false;
    return true;
}

int sysctl_check(const Podmon__Pair *setting, const Podmon__Namespaces *namespaces, char *ret,
                 Failure *why)
{
    char path[PATH_MAX];
    Owner owner = key_to_path(setting->key, path) ? path_owner(path) : OWNER_NONE;

    if (owner == OWNER_NONE)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "sysctl \"%.200s\" does not belong to a namespace of the pod",
                           setting->key);
    if (owner == OWNER_NETWORK && namespaces->network == PODMON__NAMESPACE_MODE__NAMESPACE_NODE)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "sysctl \"%s\" is not allowed with the host's network", setting->key);
    if (owner == OWNER_IPC && namespaces->ipc == PODMON__NAMESPACE_MODE__NAMESPACE_NODE)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "sysctl \"%s\" is not allowed with the host's IPC", setting->key);
    if (!value_is_valid(setting->value))
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "sysctl \"%s\": the value \"%.200s\" is too long or has control bytes",
                           setting->key, setting->value);
    memcpy(ret, path, strlen(path) + 1);
    return 0;
}

static int write_setting(int sys_fd, const char *path, const char *value)
{
    AUTO_CLOSE int fd = path_open_beneath(sys_fd, path, O_WRONLY | O_CLOEXEC, 0);
    ssize_t written;

    if (fd < 0)
        return fd;
    written = write(fd, value, strlen(value));
    if (written < 0)
        return -errno;
    return (size_t)written == strlen(value) ? 0 : -EINVAL;
}

int sysctl_write(Podmon__Pair *const *settings, size_t count, const Podmon__Namespaces *namespaces,
                 Failure *why)
{
    AUTO_CLOSE int sys_fd = -1;
    char path[PATH_MAX];
    int r;

    if (count == 0)
        return 0;
    sys_fd = open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (sys_fd < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot open /proc/sys");
    for (size_t i = 0; i < count; i++) {
        r = sysctl_check(settings[i], namespaces, path, why);
        if (r < 0)
            return r;
        r = write_setting(sys_fd, path, settings[i]->value);
        if (r < 0)
            return failure_set(
                why, r == -ENOENT || r == -EINVAL ? FAILURE_INVALID_ARGUMENT : FAILURE_INTERNAL, -r,
                "cannot set sysctl \"%s\" to \"%.200s\"", settings[i]->key, settings[i]->value);
    }
    return 0;
}
