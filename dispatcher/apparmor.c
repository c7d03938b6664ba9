/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/apparmor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dispatcher/apparmor_profile.h"
#include "shared/apparmor.h"
#include "shared/cleanup.h"
#include "shared/fd.h"

#define PARSER "/sbin/apparmor_parser"

enum { PARSER_TIMEOUT_MS = 60000 };

static int open_text(int *ret_fd)
{
    AUTO_CLOSE int fd = memfd_create("apparmor-profile", MFD_CLOEXEC);
    size_t size = strlen(APPARMOR_PROFILE_TEXT);

    if (fd < 0 || write(fd, APPARMOR_PROFILE_TEXT, size) != (ssize_t)size ||
        lseek(fd, 0, SEEK_SET) < 0)
        return -errno;
    *ret_fd = take_fd(&fd);
    return 0;
}

/* It takes the profile from its standard input, and says what it does not like to our own log. */
static int start_parser(int text_fd, pid_t *ret)
{
    static char name[] = "apparmor_parser", replace[] = "--replace";
    char *const argv[] = {name, replace, NULL};
    char *const env[] = {NULL};
    posix_spawn_file_actions_t actions;
    int r;

    if (posix_spawn_file_actions_init(&actions) != 0)
        return -ENOMEM;
    r = posix_spawn_file_actions_adddup2(&actions, text_fd, STDIN_FILENO);
    if (r == 0)
        r = posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    if (r == 0)
        r = posix_spawn(ret, PARSER, &actions, NULL, argv, env);
    (void)posix_spawn_file_actions_destroy(&actions);
    return -r;
}

/* Its exit status, or −ETIMEDOUT when it had to be killed. */
static int await_parser(pid_t pid)
{
    AUTO_CLOSE int pidfd = fd_open_pid(pid);
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    bool late = pidfd >= 0 && poll(&ended, 1, PARSER_TIMEOUT_MS) == 0;
    int status = 0;

    if (late)
        (void)kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (late)
        return -ETIMEDOUT;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -ECHILD;
}

int apparmor_load_default(Failure *why)
{
    AUTO_CLOSE int text_fd = -1;
    pid_t pid = 0;
    int r;

    if (!apparmor_is_on() || apparmor_has(APPARMOR_DEFAULT))
        return 0;
    r = open_text(&text_fd);
    if (r >= 0)
        r = start_parser(text_fd, &pid);
    if (r < 0)
        return failure_set(why, FAILURE_FAILED_PRECONDITION, -r, "cannot execute " PARSER);
    r = await_parser(pid);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, PARSER);
    if (r > 0 || !apparmor_has(APPARMOR_DEFAULT))
        return failure_say(why, FAILURE_INTERNAL,
                           PARSER " ended with %d, and " APPARMOR_DEFAULT " is not loaded", r);
    return 0;
}
