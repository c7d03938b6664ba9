/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/socket.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/fd.h"
#include "shared/file.h"
#include "test.h"

/* A directory of its own for each case, removed at the end. */
typedef struct Place {
    char directory[64];
    char path[96];
} Place;

static void place_done(const Place *place)
{
    (void)file_delete_tree_at(AT_FDCWD, place->directory);
}

static Place place_make(void)
{
    Place place = {.directory = "/tmp/test-socket-XXXXXX"};

    if (!mkdtemp(place.directory))
        abort();
    (void)snprintf(place.path, sizeof(place.path), "%s/run/podmon.sock", place.directory);
    return place;
}

#define PLACE __attribute__((cleanup(place_done))) Place

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        fd_close(&fd);
    return fd;
}

TEST(made_for_root_alone)
{
    PLACE place = place_make();
    struct stat status;
    char directory[96];
    Failure why;
    int fd = socket_listen(place.path, &why), client;

    CHECK(fd >= 0);
    CHECK(stat(place.path, &status) == 0);
    CHECK(S_ISSOCK(status.st_mode));
    CHECK_EQ(status.st_mode & 07777, 0600);
    (void)snprintf(directory, sizeof(directory), "%s/run", place.directory);
    CHECK(stat(directory, &status) == 0);
    CHECK_EQ(status.st_mode & 07777, 0700);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
    client = connect_to(place.path);
    CHECK(client >= 0);
    fd_close(&client);
    fd_close(&fd);
}

TEST(stale_one_is_replaced)
{
    PLACE place = place_make();
    Failure why;
    int fd = socket_listen(place.path, &why), client;

    CHECK(fd >= 0);
    fd_close(&fd);
    CHECK(connect_to(place.path) < 0);
    fd = socket_listen(place.path, &why);
    CHECK(fd >= 0);
    client = connect_to(place.path);
    CHECK(client >= 0);
    fd_close(&client);
    fd_close(&fd);
}

TEST(one_that_answers_stays)
{
    PLACE place = place_make();
    Failure why;
    int fd = socket_listen(place.path, &why), client;

    CHECK(fd >= 0);
    CHECK(socket_listen(place.path, &why) < 0);
    CHECK_EQ(why.code, FAILURE_FAILED_PRECONDITION);
    CHECK(strstr(why.text, "another process listens on /tmp/test-socket-"));
    client = connect_to(place.path);
    CHECK(client >= 0);
    fd_close(&client);
    fd_close(&fd);
}

TEST(other_files_stay)
{
    PLACE place = place_make();
    struct stat status;
    Failure why;
    int fd;

    (void)snprintf(place.path, sizeof(place.path), "%s/file", place.directory);
    fd = open(place.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    CHECK(fd >= 0);
    fd_close(&fd);
    CHECK(socket_listen(place.path, &why) < 0);
    CHECK_EQ(why.code, FAILURE_FAILED_PRECONDITION);
    CHECK(strstr(why.text, "exists and is no socket"));
    CHECK(stat(place.path, &status) == 0 && S_ISREG(status.st_mode));
}

TEST(paths_that_do_not_fit)
{
    char path[256];
    Failure why;

    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[108] = '\0';
    CHECK(socket_listen(path, &why) < 0);
    CHECK_EQ(why.code, FAILURE_INVALID_ARGUMENT);
    CHECK(socket_listen("relative", &why) < 0);
    CHECK_EQ(why.code, FAILURE_INVALID_ARGUMENT);
}

TEST(nothing_inherited)
{
    Failure why;
    int fds[2];

    CHECK(unsetenv("LISTEN_FDS") == 0);
    CHECK_EQ(socket_inherit(fds, 2, &why), 0);
}

/* sd_listen_fds(3) counts from descriptor 3, which is replaced for the length of the case. */
static int inherit(int fd, int *fds, Failure *why)
{
    char number[16];
    int r;

    (void)snprintf(number, sizeof(number), "%d", (int)getpid());
    (void)setenv("LISTEN_PID", number, 1);
    (void)setenv("LISTEN_FDS", "1", 1);
    if (dup2(fd, 3) < 0)
        return -1;
    r = socket_inherit(fds, 2, why);
    return r;
}

TEST(inherited_from_systemd)
{
    PLACE place = place_make();
    int guard = open("/dev/null", O_RDONLY | O_CLOEXEC); /* so that nothing else is 3 */
    int fds[2] = {-1, -1}, fd;
    Failure why;

    fd = socket_listen(place.path, &why);
    fd = fcntl(fd, F_DUPFD_CLOEXEC, 10);
    CHECK(fd >= 10);
    CHECK_EQ(inherit(fd, fds, &why), 1);
    CHECK_EQ(fds[0], 3);
    CHECK(fcntl(3, F_GETFD) & FD_CLOEXEC);
    CHECK(!getenv("LISTEN_FDS"));

    fd_close(&fd);
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK(inherit(fd, fds, &why) < 0);
    CHECK_EQ(why.code, FAILURE_INVALID_ARGUMENT);
    CHECK(strstr(why.text, "descriptor 3"));
    (void)guard;
}

TEST_MAIN
