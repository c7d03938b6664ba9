/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/ending.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "podmon/publish.h"
#include "podmon/teardown.h"
#include "podmon/terminal.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/layout.h"
#include "shared/log.h"

enum {
    EXIT_UNKNOWN = 255,
    EXIT_NOT_STARTED = 128,
    EXIT_STATUS_TRIES = 100, /* 10 ms each: for another parent to reap it */
    EXIT_STATUS_MS = 10,
    CGROUP_TRIES = 60,
    CGROUP_MS_MAX = 100, /* between two tries; doubles from 1 ms */
};

/* Calls `function` after `delay_ms`; without memory at once. */
static void later(Container *container, uint64_t delay_ms, EventFunction function)
{
    uint64_t when = clock_monotonic() + delay_ms * CLOCK_MILLISECOND;

    container->timer = event_free(container->timer);
    if (event_add_timer(container->pod->loop, when, function, container, &container->timer) < 0)
        function(container, 0);
}

static void record_end(Container *container)
{
    Podmon__ContainerRecord *record = container->record;
    const char *message = "";
    const char *reason;

    if (container->failure.code != FAILURE_NONE) {
        record->exit_code = EXIT_NOT_STARTED;
        reason = "StartError";
        message = container->failure.text;
    } else if (!container->end.known) {
        record->exit_code = EXIT_UNKNOWN;
        reason = "Unknown";
    } else {
        record->exit_code = container->end.status;
        reason = container->oom_killed        ? "OOMKilled"
                 : container->end.status == 0 ? "Completed"
                                              : "Error";
    }
    record->finished_at = clock_real();
    if (record->finished_at < record->started_at)
        record->finished_at = record->started_at; /* The clock was set back. */
    if (record_set_text(&record->reason, reason) < 0 ||
        record_set_text(&record->message, message) < 0)
        log_error("no memory to record why a container ended");
    (void)record_set_process(&record->process, 0, 0); /* Clearing needs no memory. */
}

static void settle(Container *container)
{
    Pod *pod = container->pod;
    Failure failure = container->failure;

    container->timer = event_free(container->timer);
    container->stop_timer = event_free(container->stop_timer);
    container->stdio = stdio_free(container->stdio);
    terminal_dismiss(container->record);
    (void)unlinkat(container->dir_fd, LAYOUT_UNLOGGED, 0); /* May never have been there. */
    fd_close(&container->stdin_fd);
    fd_close(&container->process.pidfd);
    fd_close(&container->root_fd);
    container->process.pid = 0;
    record_end(container);
    (void)container_advance(container, CONTAINER_EVENT_SETTLED);
    pod_publish_surely(pod);

    call_list_answer(&container->start_calls, failure.code != FAILURE_NONE ? &failure : NULL);
    call_list_answer(&container->stop_calls, NULL);
    if (container->remove_calls)
        container_delete(container);
    pod_reap_orphans(pod);
    teardown_go_on(pod);
}

static void remove_cgroup(void *data, uint32_t events)
{
    Container *container = data;
    int r = cgroup_remove(container->record->cgroup);

    (void)events;
    if (r == -EBUSY && container->tries++ < CGROUP_TRIES) {
        uint64_t delay = container->tries < 7 ? UINT64_C(1) << container->tries : CGROUP_MS_MAX;
        (void)cgroup_kill(container->record->cgroup); /* What forked while it was being killed. */
        pod_reap_orphans(container->pod);
        later(container, delay, remove_cgroup);
        return;
    }
    if (r < 0)
        log_warning("cannot remove the cgroup %s: error %d", container->record->cgroup, -r);
    settle(container);
}

static void drained(void *data)
{
    Container *container = data;

    container->tries = 0;
    remove_cgroup(container, 0);
}

static void drain(Container *container)
{
    uint64_t timeout = container->pod->spec->drain_timeout_ms * CLOCK_MILLISECOND;

    if (!container->stdio ||
        stdio_drain(container->stdio, clock_monotonic() + timeout, drained, container) < 0)
        drained(container);
}

static void read_end(void *data, uint32_t events)
{
    Container *container = data;
    uint64_t kills = 0;

    (void)events;
    if (process_read_end(container->process.pidfd, &container->end) == -EAGAIN &&
        container->tries++ < EXIT_STATUS_TRIES) {
        later(container, EXIT_STATUS_MS, read_end);
        return;
    }
    /* The counter counts for the whole group: only a first process that the kernel killed, and we
     * did not, was its victim. */
    if (container->end.was_killed && !container->killed &&
        cgroup_read_oom_kills(container->record->cgroup, &kills) >= 0)
        container->oom_killed = kills > 0;
    (void)container_advance(container, CONTAINER_EVENT_ENDED);
    if (cgroup_kill(container->record->cgroup) < 0)
        log_warning("cannot kill what is left in the cgroup %s", container->record->cgroup);
    drain(container);
}

void ending_begin(Container *container)
{
    container->tries = 0;
    read_end(container, 0);
}

void ending_without_process(Container *container)
{
    container->end = (ProcessEnd){0};
    (void)container_advance(container, CONTAINER_EVENT_ENDED);
    (void)cgroup_kill(container->record->cgroup); /* remove_cgroup tries again. */
    drain(container);
}
