/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/socket.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include "shared/cleanup.h"
#include "shared/fd.h"
#include "shared/file.h"

enum { BACKLOG = 4096 };

int socket_inherit(int *fds, size_t fds_max, Failure *why)
{
    int count = sd_listen_fds(1);

    if (count < 0)
        return failure_set(why, FAILURE_INTERNAL, -count, "cannot read LISTEN_FDS");
    if ((size_t)count > fds_max)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "%d sockets were handed over, at most %zu are taken", count, fds_max);
    for (int i = 0; i < count; i++) {
        int fd = SD_LISTEN_FDS_START + i, r;

        if (sd_is_socket(fd, AF_UNIX, SOCK_STREAM, 1) <= 0)
            return failure_say(why, FAILURE_INVALID_ARGUMENT,
                               "descriptor %d was handed over, is no listening unix stream socket",
                               fd);
        r = fd_set_nonblocking(fd, true);
        if (r < 0)
            return failure_set(why, FAILURE_INTERNAL, -r, "cannot set up descriptor %d", fd);
        fds[i] = fd;
    }
    return count;
}

static int make_parent(const char *path, Failure *why)
{
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t length = (size_t)(slash - path);
    int r;

    if (length == 0)
        return 0;
    memcpy(parent, path, length);
    parent[length] = '\0';
    r = file_make_directories(parent, 0700);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot make %s", parent);
    return 0;
}

/* Makes room at `path` without taking it from a dispatcher that lives. */
static int clear_path(int fd, const struct sockaddr_un *address, Failure *why)
{
    const char *path = address->sun_path;
    struct stat status;

    if (lstat(path, &status) < 0) {
        if (errno == ENOENT)
            return 0;
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot look at %s", path);
    }
    if (!S_ISSOCK(status.st_mode))
        return failure_say(why, FAILURE_FAILED_PRECONDITION, "%s exists and is no socket", path);
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) >= 0 || errno == EAGAIN)
        return failure_say(why, FAILURE_FAILED_PRECONDITION, "another process listens on %s", path);
    if (errno != ECONNREFUSED && errno != ENOENT)
        return failure_set(why, FAILURE_FAILED_PRECONDITION, errno, "cannot connect to %s", path);
    if (unlink(path) < 0 && errno != ENOENT)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot replace %s", path);
    return 0;
}

int socket_listen(const char *path, Failure *why)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    AUTO_CLOSE int fd = -1;
    mode_t mask;
    int r;

    if (path[0] != '/' || strlen(path) >= sizeof(address.sun_path))
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "the socket is \"%s\", must be an absolute path below %zu bytes", path,
                           sizeof(address.sun_path));
    memcpy(address.sun_path, path, strlen(path) + 1);
    r = make_parent(path, why);
    if (r < 0)
        return r;

    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot make a socket");
    r = clear_path(fd, &address, why);
    if (r < 0)
        return r;
    /* Nobody else may connect, not even between bind and chmod. */
    mask = umask(0177);
    r = bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
    (void)umask(mask);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot bind %s", path);
    if (listen(fd, BACKLOG) < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot listen on %s", path);
    return take_fd(&fd);
}
