/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/fd.h"
#include "shared/file.h"
#include "shared/number.h"

enum { STAT_LIMIT = 8192, STAT_AFTER_NAME = 3, STAT_START_TIME = 22, STAT_EXIT_CODE = 52 };

/* The fields from the third on, malloc'ed in *ret_text. The second is the program's name and may
 * hold anything, but ends with the last ')'. */
static int read_stat(pid_t pid, char **ret_text, char **ret_rest)
{
    char path[32];
    char *rest;
    int r;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    r = file_read_virtual_at(AT_FDCWD, path, STAT_LIMIT, ret_text, NULL);
    if (r < 0)
        return r == -ENOENT ? -ESRCH : r;
    rest = strrchr(*ret_text, ')');
    if (!rest || rest[1] != ' ')
        return -EIO;
    *ret_rest = rest + 2;
    return 0;
}

static int take_field(char **rest, int *at, int field, uint64_t *ret)
{
    char *word;

    while ((word = strsep(rest, " \n")))
        if ((*at)++ == field)
            return number_parse_unsigned(word, UINT64_MAX, ret);
    return -EIO;
}

int process_read_start(pid_t pid, uint64_t *ret)
{
    AUTO_FREE char *text = NULL;
    char *rest;
    int at = STAT_AFTER_NAME;
    int r = read_stat(pid, &text, &rest);

    return r < 0 ? r : take_field(&rest, &at, STAT_START_TIME, ret);
}

int process_read_status(pid_t pid, int *ret)
{
    AUTO_FREE char *text = NULL;
    uint64_t status;
    char *rest;
    int at = STAT_AFTER_NAME;
    int r = read_stat(pid, &text, &rest);

    if (r < 0)
        return r;
    if (*rest != 'Z')
        return -EAGAIN;
    r = take_field(&rest, &at, STAT_EXIT_CODE, &status);
    if (r >= 0)
        *ret = (int)status;
    return r;
}

int process_open(pid_t pid, uint64_t start_time)
{
    AUTO_CLOSE int fd = fd_open_pid(pid);
    uint64_t found;
    int r;

    if (fd < 0)
        return fd;
    /* Read after the opening: if it is the same then, the descriptor is of the right one. */
    r = process_read_start(pid, &found);
    if (r < 0)
        return r;
    return found == start_time ? take_fd(&fd) : -ESRCH;
}
