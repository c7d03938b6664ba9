/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/ctl/podmons.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/file.h"
#include "shared/number.h"
#include "shared/process.h"

enum { ARGUMENTS_MAX = 1024 * 1024 };

static void cleanup_closedir(DIR **directory)
{
    if (*directory)
        (void)closedir(*directory);
}

/* What follows the option among the arguments, which are separated by NULs; NULL. */
static const char *find_value(const char *arguments, size_t size, const char *option)
{
    const char *end = arguments + size;

    for (const char *at = arguments; at < end; at += strlen(at) + 1)
        if (strcmp(at, option) == 0 && at + strlen(at) + 1 < end)
            return at + strlen(at) + 1;
    return NULL;
}

/* 1: it is a podmon; 0: something else, or gone. */
static int read_process(int proc_fd, const char *name, const char *run_dir, PodmonProcess *ret)
{
    AUTO_FREE char *arguments = NULL;
    const char *id, *run;
    char path[NAME_MAX + 16];
    uint64_t pid;
    size_t size;

    if (number_parse_unsigned(name, INT_MAX, &pid) < 0)
        return 0;
    ret->pid = (pid_t)pid;
    if (process_read_start(ret->pid, &ret->start_time) < 0)
        return 0;
    (void)snprintf(path, sizeof(path), "%s/cmdline", name);
    if (file_read_virtual_at(proc_fd, path, ARGUMENTS_MAX, &arguments, &size) < 0 || size == 0 ||
        strcmp(arguments, "podmon") != 0)
        return 0;
    id = find_value(arguments, size, "--pod");
    run = find_value(arguments, size, "--run");
    if (!id || !run || !id_is_valid(id))
        return 0;
    (void)stpcpy(ret->id, id);
    ret->ours = strcmp(run, run_dir) == 0;
    return 1;
}

int podmons_each(const char *run_dir, int (*function)(void *data, const PodmonProcess *process),
                 void *data)
{
    CLEANUP(cleanup_closedir) DIR *stream = opendir("/proc");
    const struct dirent *item;
    int r = 0;

    if (!stream)
        return -errno;
    while (r == 0 && (item = readdir(stream))) {
        PodmonProcess process;

        if (read_process(dirfd(stream), item->d_name, run_dir, &process) > 0)
            r = function(data, &process);
    }
    return r;
}
