/* SPDX-License-Identifier: Apache-2.0 */
/* A container's log file. The directory is the kubelet's, but a pod may have a hand in what lies
 * below it: nothing there is followed, and only a regular file is written to. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "podmon/logline.h"
#include "shared/failure.h"

/* Plain data, LOG_FILE_NONE: output is discarded. */
typedef struct LogFile {
    int fd;           /* O_APPEND; owned */
    uint64_t dropped; /* records lost since the file last took one */
} LogFile;

#define LOG_FILE_NONE ((LogFile){-1, 0})

/* May `path` stand below a log directory? Relative, no empty, "." or ".." component. */
bool logfile_path_is_valid(const char *path);

/* Opens `path` below `directory` (absolute) for appending, making the file (0640) and missing
 * directories (0755). FAILED_PRECONDITION for what is no regular file. On failure `file` is as it
 * was; on success what it had open before is closed. */
int logfile_open(LogFile *file, const char *directory, const char *path, Failure *why);

void logfile_close(LogFile *file);

/* Appends whole records, all or none. A file that cannot take them (no space, quota) loses them:
 * they are counted, and one record says how many once there is space again. Never fails: a
 * container does not stop for its log. */
void logfile_write(LogFile *file, const LogBatch *batch);
