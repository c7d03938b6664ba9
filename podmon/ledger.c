/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "podmon/process.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/layout.h"

_Static_assert(sizeof(Ledger) <= 4096, "a ledger is one page");

/* Space is taken from the file system now: a page that is not there when it is written to is a
 * SIGBUS. */
static void *map_file(int run_fd)
{
    AUTO_CLOSE int fd =
        openat(run_fd, LAYOUT_LEDGER, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0 || fallocate(fd, 0, 0, sizeof(Ledger)) < 0)
        return MAP_FAILED;
    return mmap(NULL, sizeof(Ledger), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

int ledger_open(int run_fd, Ledger **ret, bool *ret_again)
{
    Ledger *ledger = map_file(run_fd);
    uint64_t start = 0;
    int r = process_read_start(getpid(), &start);

    if (r < 0)
        return r;
    if (ledger == MAP_FAILED)
        ledger =
            mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ledger == MAP_FAILED)
        return -ENOMEM;
    if (ledger->version != LEDGER_VERSION)
        memset(ledger, 0, sizeof(*ledger));
    *ret_again = ledger->owner == getpid() && ledger->owner_start == start;
    ledger->owner = getpid();
    ledger->owner_start = start;
    ledger->version = LEDGER_VERSION;
    *ret = ledger;
    return 0;
}

Ledger *ledger_close(Ledger *ledger)
{
    if (ledger)
        (void)munmap(ledger, sizeof(*ledger));
    return NULL;
}

static void replace_exec(Ledger *ledger, uint32_t old, uint32_t new)
{
    for (size_t i = 0; i < LEDGER_EXECS_MAX; i++) {
        if (ledger->execs[i] != old)
            continue;
        ledger->execs[i] = new;
        return;
    }
}

void ledger_add_exec(Ledger *ledger, uint32_t number)
{
    replace_exec(ledger, 0, number);
}

void ledger_drop_exec(Ledger *ledger, uint32_t number)
{
    replace_exec(ledger, number, 0);
}

bool ledger_note_crash(Ledger *ledger, int signal, uint64_t address, uint64_t now)
{
    uint64_t oldest = ledger->crash_times[LEDGER_CRASHES_MAX - 1];

    for (size_t i = LEDGER_CRASHES_MAX - 1; i > 0; i--)
        ledger->crash_times[i] = ledger->crash_times[i - 1];
    ledger->crash_times[0] = now;
    ledger->crash_signal = signal;
    ledger->crash_address = address;
    ledger->crash_total++;
    return oldest == 0 || now - oldest > LEDGER_CRASH_SECONDS * CLOCK_SECOND;
}
