/* SPDX-License-Identifier: Apache-2.0 */
/* One line for whoever looks after the machine. To the journal (its native protocol, so that each
 * entry belongs to the unit of the process that wrote it: journalctl -u pod-….scope) when standard
 * error is the journal or JOURNAL_STREAM says so, else to standard error. Libraries are silent: the
 * caller that decides what to do about a failure logs it, once. Never blocks, never allocates. */
#pragma once

typedef enum LogLevel { /* syslog(3) */
                        LOG_LEVEL_ERROR = 3,
                        LOG_LEVEL_WARNING = 4,
                        LOG_LEVEL_NOTICE = 5,
                        LOG_LEVEL_INFO = 6,
                        LOG_LEVEL_DEBUG = 7,
} LogLevel;

/* `program` (SYSLOG_IDENTIFIER, static storage); what is less urgent than `most` is left out. */
void log_open(const char *program, LogLevel most);

/* Adds PODMON_POD=… to every entry from then on; copied; NULL: none. */
void log_set_pod(const char *pod_id);

/* The text is cut at 2 KiB; control bytes are shown as '?'. errno is kept. */
void log_write(LogLevel level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...) log_write(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
