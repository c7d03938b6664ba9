/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/faultpoint.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/fd.h"

enum { FILE_MAX = 4096, EXIT_BY_FAULT = 113 };

static const struct {
    const char *name;
    int signal;
} deaths[] = {{"kill", SIGKILL}, {"segv", SIGSEGV}, {"abort", SIGABRT}, {"stop", SIGSTOP}};

static int act(const char *action, long argument)
{
    struct timespec delay = {argument / 1000, argument % 1000 * 1000000};

    for (size_t i = 0; i < sizeof(deaths) / sizeof(*deaths); i++)
        if (strcmp(action, deaths[i].name) == 0)
            (void)raise(deaths[i].signal);
    if (strcmp(action, "exit") == 0)
        _exit(EXIT_BY_FAULT);
    if (strcmp(action, "delay") == 0)
        (void)nanosleep(&delay, NULL);
    return strcmp(action, "error") == 0 ? (int)-argument : 0;
}

/* Finds the place's line in `text` and takes one from its first term: *text is what the file is to
 * say from now on. False: nothing to do. */
static bool take_term(char *text, const char *place, char *ret_action, long *ret_argument)
{
    char *line = text, *term, *rest;
    size_t length = strlen(place);
    long count = 0;
    int used = 0;
    char counted[24];

    while (line && (strncmp(line, place, length) != 0 || line[length] != '='))
        line = (line = strchr(line, '\n')) ? line + 1 : NULL;
    if (!line)
        return false;
    term = line + length + 1;
    *ret_argument = 0;
    /* NOLINTNEXTLINE(cert-err34-c): read in test builds alone, written by the tests */
    if (sscanf(term, "%ld*%n", &count, &used) != 1 || used == 0)
        count = -1;
    /* NOLINTNEXTLINE(cert-err34-c) */
    if (sscanf(term + (count < 0 ? 0 : used), "%15[a-z](%ld)", ret_action, ret_argument) < 1)
        return false;
    if (count < 0)
        return true;
    rest = term + used;
    if (count > 1) {
        (void)snprintf(counted, sizeof(counted), "%ld*", count - 1);
        memmove(term + strlen(counted), rest, strlen(rest) + 1);
        memcpy(term, counted, strlen(counted)); /* NOLINT: in the middle of a text */
        return true;
    }
    rest += strcspn(rest, "->\n");
    if (strncmp(rest, "->", 2) == 0) {
        memmove(term, rest + 2, strlen(rest + 2) + 1);
    } else {
        rest = term + strcspn(term, "\n");
        rest += *rest == '\n';
        memmove(line, rest, strlen(rest) + 1);
    }
    return true;
}

int faultpoint_reach(const char *place)
{
    const char *path = getenv("PODMON_FAULTS");
    AUTO_CLOSE int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    char text[FILE_MAX], action[16];
    long argument;
    ssize_t size;

    if (fd < 0 || flock(fd, LOCK_EX) < 0)
        return 0;
    size = pread(fd, text, sizeof(text) - 1, 0);
    if (size <= 0)
        return 0;
    text[size] = '\0';
    if (!take_term(text, place, action, &argument))
        return 0;
    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, strlen(text), 0) < 0)
        return 0;
    fd_close(&fd);
    return act(action, argument);
}
