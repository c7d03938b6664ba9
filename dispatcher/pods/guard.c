/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/pods/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "dispatcher/pods/pulse.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/id.h"
#include "shared/log.h"
#include "shared/process.h"

enum {
    RESTARTS_AT_ONCE = 50, /* then each waits twice as long as the one before */
    RESTART_SECONDS_MAX = 60,
    RETRY_SECONDS = 1,   /* until one that could not be started is tried again */
    CALM_SECONDS = 120,  /* without a restart: it is forgotten that there were any */
    UNSIGNED_SECONDS = 2 /* for a new pod's podmon to sign the record, before it is missed */
};

/* A podmon that this process has started and will have to reap; no pod depends on it. */
typedef struct Child {
    PodGuard *guard;
    EventSource *source;
    int pidfd;
    char id[ID_SIZE]; /* of the pod */
    struct Child *next, **link;
} Child;

typedef struct Ward {
    PodGuard *guard;
    char id[ID_SIZE];
    bool wanted; /* by the record's phase a podmon has to be there */
    pid_t podmon;
    uint64_t podmon_start;
    int podmon_fd;
    EventSource *podmon_source;
    Pulse *pulse; /* NULL: nobody asks */
    LaunchKept *kept;
    size_t kept_count;
    EventSource *restart;
    unsigned restarts;
    uint64_t restarted_at;
    struct Ward *next, **link;
} Ward;

struct PodGuard {
    EventLoop *loop;
    PodIndex *index;
    LaunchPaths paths;
    uint64_t patience;
    Ward *wards;
    Child *children;
    int index_fd; /* a copy, because others watch the index too */
    EventSource *index_source;
};

/* ---- children */

static void child_free(Child *child)
{
    *child->link = child->next;
    if (child->next)
        child->next->link = child->link;
    (void)event_free(child->source);
    fd_close(&child->pidfd);
    free(child);
}

/* ---- wards */

static Ward *ward_find(const PodGuard *guard, const char *id)
{
    Ward *ward = guard->wards;

    while (ward && strcmp(ward->id, id) != 0)
        ward = ward->next;
    return ward;
}

static Ward *ward_new(PodGuard *guard, const char *id)
{
    Ward *ward = calloc(1, sizeof(*ward));

    if (!ward)
        return NULL;
    *ward = (Ward){.guard = guard, .podmon_fd = -1, .next = guard->wards, .link = &guard->wards};
    (void)snprintf(ward->id, sizeof(ward->id), "%s", id);
    if (ward->next)
        ward->next->link = &ward->next;
    guard->wards = ward;
    return ward;
}

static void ward_release(Ward *ward)
{
    for (size_t i = 0; i < ward->kept_count; i++)
        fd_close(&ward->kept[i].pidfd);
    free(ward->kept);
    ward->kept = NULL;
    ward->kept_count = 0;
}

static void ward_forget(Ward *ward)
{
    ward->pulse = pulse_free(ward->pulse);
    ward->podmon_source = event_free(ward->podmon_source);
    fd_close(&ward->podmon_fd);
}

static void ward_free(Ward *ward)
{
    *ward->link = ward->next;
    if (ward->next)
        ward->next->link = ward->link;
    ward_forget(ward);
    (void)event_free(ward->restart);
    ward_release(ward);
    free(ward);
}

static const LaunchKept *find_kept(const Ward *ward, pid_t pid)
{
    for (size_t i = 0; i < ward->kept_count; i++)
        if (ward->kept[i].pid == pid)
            return &ward->kept[i];
    return NULL;
}

/* Holds the containers' first processes; those that it holds already are held on. One that has
 * ended is not known by number any more, but by the descriptor that was opened in time. */
static void ward_keep(Ward *ward, const Podmon__PodRecord *record)
{
    LaunchKept *kept = calloc(record->n_containers + 1, sizeof(*kept));
    size_t count = 0;

    if (!kept)
        return;
    for (size_t i = 0; i < record->n_containers; i++) {
        const Podmon__ContainerRecord *container = record->containers[i];
        const LaunchKept *old;
        int fd;

        if (container->phase != PODMON__CONTAINER_PHASE__CONTAINER_RUNNING || !container->process)
            continue;
        old = find_kept(ward, container->process->pid);
        fd = old ? fcntl(old->pidfd, F_DUPFD_CLOEXEC, 0)
                 : process_open(container->process->pid, container->process->start_time);
        if (fd >= 0)
            kept[count++] = (LaunchKept){container->process->pid, fd};
    }
    ward_release(ward);
    ward->kept = kept;
    ward->kept_count = count;
}

/* ---- restarts */

static uint64_t restart_delay(Ward *ward)
{
    uint64_t now = clock_monotonic(), seconds = 0;

    if (now - ward->restarted_at > CALM_SECONDS * CLOCK_SECOND)
        ward->restarts = 0;
    ward->restarted_at = now;
    if (++ward->restarts > RESTARTS_AT_ONCE) {
        unsigned doublings = ward->restarts - RESTARTS_AT_ONCE - 1;
        seconds = doublings < 6 ? UINT64_C(1) << doublings : RESTART_SECONDS_MAX;
    }
    return seconds * CLOCK_SECOND;
}

static void ward_restart(void *data, uint32_t events);

static void ward_miss(Ward *ward, uint64_t delay)
{
    if (ward->restart)
        return;
    if (event_add_timer(ward->guard->loop, clock_monotonic() + delay, ward_restart, ward,
                        &ward->restart) < 0)
        log_error("no memory to replace the podmon of pod %.*s", ID_SHORT, ward->id);
}

static void ward_restart(void *data, uint32_t events)
{
    Ward *ward = data;
    Failure why = {0};

    (void)events;
    ward->restart = event_free(ward->restart);
    if (!ward->wanted)
        return;
    if (pod_guard_start(ward->guard, ward->id, &why) >= 0)
        return;
    log_error("The pod %.*s is without its podmon: %s", ID_SHORT, ward->id, why.text);
    ward_miss(ward, restart_delay(ward) + RETRY_SECONDS * CLOCK_SECOND);
}

static void podmon_ended(void *data, uint32_t events)
{
    Ward *ward = data;
    PodGuard *guard = ward->guard;
    char id[ID_SIZE];

    (void)events;
    (void)snprintf(id, sizeof(id), "%s", ward->id);
    ward_forget(ward);
    ward->podmon = 0;
    /* What it has published last says whether it was through; the ward may end here. */
    pod_index_sync(guard->index);
    ward = ward_find(guard, id);
    if (!ward || !ward->wanted || ward->podmon_fd >= 0)
        return;
    log_notice("the podmon of pod %.*s has ended before its time", ID_SHORT, id);
    ward_miss(ward, restart_delay(ward));
}

/* Watches the process that has signed the record. */
static void ward_watch(Ward *ward, const Podmon__ProcessIdentity *podmon)
{
    if (podmon->pid == ward->podmon && podmon->start_time == ward->podmon_start)
        return;
    ward_forget(ward);
    ward->podmon = podmon->pid;
    ward->podmon_start = podmon->start_time;
    ward->podmon_fd = process_open(podmon->pid, podmon->start_time);
    if (ward->podmon_fd < 0)
        ward_miss(ward, restart_delay(ward));
    else if (event_add_fd(ward->guard->loop, ward->podmon_fd, EPOLLIN, podmon_ended, ward,
                          &ward->podmon_source) < 0)
        log_error("the podmon of pod %.*s cannot be watched", ID_SHORT, ward->id);
    else
        ward->restart = event_free(ward->restart);
    if (ward->podmon_source && ward->guard->patience > 0 &&
        pulse_new(ward->guard->loop, ward->guard->paths.run_dir, ward->id, ward->podmon_fd,
                  ward->guard->patience, &ward->pulse) < 0)
        log_error("nobody asks the podmon of pod %.*s whether it is well", ID_SHORT, ward->id);
}

/* One that has signed the record is watched by the ward; one that has died before is missed here.
 */
static void on_child_exit(void *data, uint32_t events)
{
    Child *child = data;
    PodGuard *guard = child->guard;
    Ward *ward;
    char id[ID_SIZE];
    siginfo_t info;

    (void)events;
    (void)waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED | WNOHANG);
    (void)snprintf(id, sizeof(id), "%s", child->id);
    child_free(child);
    pod_index_sync(guard->index);
    ward = ward_find(guard, id);
    if (ward && ward->wanted && ward->podmon_fd < 0 && !ward->restart)
        ward_miss(ward, restart_delay(ward));
}

/* Failing to watch costs a zombie until this process ends, nothing else. */
static void watch_child(PodGuard *guard, const char *id, int pidfd)
{
    Child *child = calloc(1, sizeof(*child));

    if (!child) {
        fd_close(&pidfd);
        return;
    }
    *child = (Child){.guard = guard, .pidfd = pidfd, .next = guard->children};
    child->link = &guard->children;
    (void)stpncpy(child->id, id, ID_LENGTH);
    if (child->next)
        child->next->link = &child->next;
    guard->children = child;
    if (event_add_fd(guard->loop, pidfd, EPOLLIN, on_child_exit, child, &child->source) < 0)
        child_free(child);
}

static void pod_changed(void *data, const char *id, const Pod *pod)
{
    PodGuard *guard = data;
    Ward *ward = ward_find(guard, id);
    const Podmon__PodRecord *record = pod ? pod->record : NULL;

    if (pod && !record)
        return; /* Unreadable: as it was known to be. */
    if (!record || pod->stale || record->phase == PODMON__POD_PHASE__POD_STOPPED) {
        if (ward)
            ward_free(ward);
        return;
    }
    if (!ward)
        ward = ward_new(guard, id);
    if (!ward)
        return;
    ward->wanted = true;
    ward_keep(ward, record);
    if (record->podmon)
        ward_watch(ward, record->podmon);
    else
        ward_miss(ward, UNSIGNED_SECONDS * CLOCK_SECOND);
}

/* ---- the guard */

static void index_ready(void *data, uint32_t events)
{
    const PodGuard *guard = data;

    (void)events;
    pod_index_sync(guard->index);
}

int pod_guard_new(EventLoop *loop, PodIndex *index, const LaunchPaths *paths, uint64_t patience,
                  PodGuard **ret)
{
    PodGuard *guard = calloc(1, sizeof(*guard));
    int r = 0;

    if (!guard)
        return -ENOMEM;
    *guard = (PodGuard){.loop = loop, .index = index, .paths = *paths, .patience = patience};
    guard->index_fd = fcntl(pod_index_fd(index), F_DUPFD_CLOEXEC, 0);
    if (guard->index_fd < 0)
        r = -errno;
    if (r >= 0)
        r = event_add_fd(loop, guard->index_fd, EPOLLIN, index_ready, guard, &guard->index_source);
    if (r < 0) {
        (void)pod_guard_free(guard);
        return r;
    }
    launch_sweep(paths);
    pod_index_observe(index, pod_changed, guard);
    *ret = guard;
    return 0;
}

void pod_guard_collect(PodGuard *guard, const char *conf_dir, char *const *bin_dirs,
                       uint32_t timeout_ms)
{
    Failure why;
    int pidfd;

    if (launch_collect(&guard->paths, conf_dir, bin_dirs, timeout_ms, &pidfd, &why) < 0)
        log_warning("the network's garbage is not collected: %s", why.text);
    else
        watch_child(guard, "", pidfd); /* of no pod */
}

PodGuard *pod_guard_free(PodGuard *guard)
{
    if (!guard)
        return NULL;
    pod_index_observe(guard->index, NULL, NULL);
    while (guard->wards)
        ward_free(guard->wards);
    while (guard->children)
        child_free(guard->children);
    (void)event_free(guard->index_source);
    fd_close(&guard->index_fd);
    free(guard);
    return NULL;
}

uint64_t pod_guard_silence(const PodGuard *guard, const char *pod_id)
{
    const Ward *ward = ward_find(guard, pod_id);

    return ward && ward->pulse ? pulse_silence(ward->pulse) : 0;
}

int pod_guard_start(PodGuard *guard, const char *pod_id, Failure *why)
{
    const Ward *ward = ward_find(guard, pod_id);
    int pidfd = -1;
    int r = launch_ensure(&guard->paths, pod_id, ward ? ward->kept : NULL,
                          ward ? ward->kept_count : 0, &pidfd, why);

    if (r >= 0 && pidfd >= 0)
        watch_child(guard, pod_id, pidfd);
    return r < 0 ? r : 0;
}
