/* SPDX-License-Identifier: Apache-2.0 */
/* What a podmon has under way that its successor has to end, and how often it has crashed: one page
 * of a file in the pod's directory, mapped, so that it is up to date whenever and however podmon
 * dies. Everything else that a successor needs is in the record. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    LEDGER_VERSION = 1,
    LEDGER_EXECS_MAX = 512,
    LEDGER_CRASHES_MAX = 3, /* within LEDGER_CRASH_SECONDS: then it is better to end */
    LEDGER_CRASH_SECONDS = 60,
};

/* Plain data; zero is "none". Written with single stores, also by a signal handler. */
typedef struct Ledger {
    uint32_t version;
    int32_t owner;                            /* podmon's pid, */
    uint64_t owner_start;                     /* and when that process began */
    uint64_t crash_times[LEDGER_CRASHES_MAX]; /* clock_monotonic, the latest first */
    int32_t crash_signal;                     /* of a crash that nobody has told of yet */
    uint32_t crash_total;
    uint64_t crash_address;
    uint32_t execs[LEDGER_EXECS_MAX]; /* numbers that name cgroups, below those of containers */
} Ledger;

/* Maps the pod's; where that is not possible, memory that ends with this process: never fails but
 * for want of that (−ENOMEM). *ret_again: this very process was podmon before, and has executed
 * itself. */
int ledger_open(int run_fd, Ledger **ret, bool *ret_again);
Ledger *ledger_close(Ledger *ledger); /* accepts NULL */

/* A list that is full forgets the newcomer: it will not be ended after a crash. */
void ledger_add_exec(Ledger *ledger, uint32_t number);
void ledger_drop_exec(Ledger *ledger, uint32_t number);

/* Notes a crash. Async-signal-safe. False: too many in too short a time. */
bool ledger_note_crash(Ledger *ledger, int signal, uint64_t address, uint64_t now);
