/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "podmon/initwatch.h"
#include "podmon/network.h"
#include "podmon/network_lock.h"
#include "podmon/process.h"
#include "podmon/publish.h"
#include "podmon/scope.h"
#include "podmon/teardown.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/faultpoint.h"
#include "shared/file.h"
#include "shared/layout.h"
#include "shared/log.h"
#include "shared/text.h"

enum {
    SCOPE_SECONDS = 10,
    NETWORK_CALLS_MAX = 16, /* plugin calls of one worker: several plugins, ADD and then DEL */
    NETWORK_DEFAULT_MS = 90 * 1000,
    FAILED_SECONDS = 5, /* how long a failed pod waits for somebody to tell */
};

static void go_on(Pod *pod);

/* The first failure counts; what it started to undo may fail too, and is logged. */
static void note_failure(Pod *pod, const Failure *why)
{
    if (pod->failure.code == FAILURE_NONE)
        pod->failure = *why;
    else
        log_warning("while a pod that cannot start is taken back: %s", why->text);
}

static bool uses_network(const Pod *pod)
{
    return pod->spec->network && pod->spec->namespaces &&
           pod->spec->namespaces->network == PODMON__NAMESPACE_MODE__NAMESPACE_POD;
}

char *setup_join_cgroup(const char *parent, const char *name)
{
    size_t length = strlen(parent);
    char *path;

    while (length > 0 && parent[length - 1] == '/')
        length--;
    return asprintf(&path, "%.*s/%s", (int)length, parent, name) < 0 ? NULL : path;
}

/* ---- the cgroup */

int setup_join_supervisor(const Pod *pod, Failure *why)
{
    AUTO_FREE char *path = pod_make_cgroup_path(pod, "supervisor");

    if (!path)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "no memory for a path");
    return cgroup_join_unit_leaf(path, why);
}

typedef struct ScopeJob {
    const Podmon__CgroupPlan *plan;
    pid_t pid;
    bool again;
    uint64_t deadline;
} ScopeJob;

static int scope_run(void *data, Text *output, Failure *why)
{
    const ScopeJob *job = data;

    (void)output;
    if (job->again) {
        int r = scope_stop(job->plan->unit, job->deadline, why);
        if (r < 0)
            return r;
    }
    return scope_start(job->plan, job->pid, job->deadline, why);
}

/* cAdvisor counts the pod's network for this group; nothing is ever in it. */
static int make_pod_group(const Pod *pod, Failure *why)
{
    AUTO_FREE char *path = NULL;

    if (!pod->spec->cadvisor)
        return 0;
    path = pod_make_id_path(pod, pod->id);
    return path ? cgroup_create(path, NULL, why)
                : failure_set(why, FAILURE_INTERNAL, ENOMEM, "no memory for a path");
}

/* systemd has moved podmon: where to is the pod's cgroup. A group that is to have groups with
 * limits must not have a process of its own on v2, so podmon goes on into a leaf; right after
 * systemd's move this one costs nothing. */
static int take_scope(Pod *pod, Failure *why)
{
    const char *unit = pod->spec->cgroup->unit;
    char path[PATH_MAX];
    const char *name;
    int r = cgroup_read_own(getpid(), path);

    /* Never another's group: everything in the pod's is killed at its end. */
    if (r >= 0 && (!(name = strrchr(path, '/')) || strcmp(name + 1, unit) != 0))
        r = -ENOENT;
    if (r >= 0)
        r = record_set_text(&pod->record->cgroup, path);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot find the cgroup of unit %s", unit);
    r = setup_join_supervisor(pod, why);
    return r < 0 ? r : make_pod_group(pod, why);
}

static void scope_done(void *data, const char *output, size_t size, const Failure *why)
{
    Pod *pod = data;
    Failure failure = {0};

    (void)output;
    (void)size;
    pod->scope_worker = NULL;
    if (why)
        note_failure(pod, why);
    else if (take_scope(pod, &failure) < 0)
        note_failure(pod, &failure);
    go_on(pod);
}

static int begin_cgroup(Pod *pod, Failure *why)
{
    const Podmon__CgroupPlan *plan = pod->spec->cgroup;
    AUTO_FREE char *path = NULL;
    uint64_t deadline = clock_monotonic() + SCOPE_SECONDS * CLOCK_SECOND;
    int r;

    if (pod_uses_scope(pod)) {
        ScopeJob job = {plan, getpid(), pod->set_up_again, deadline};
        return worker_start(pod->loop, scope_run, &job, deadline, scope_done, pod,
                            &pod->scope_worker, why);
    }
    path = plan && *plan->name ? setup_join_cgroup(plan->parent, plan->name) : NULL;
    if (!path)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "the plan names no cgroup for the pod");
    r = record_set_text(&pod->record->cgroup, path);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "no memory for a path");
    r = cgroup_create(path, NULL, why);
    return r < 0 ? r : make_pod_group(pod, why);
}

/* ---- the namespaces */

static int begin_sandbox(Pod *pod, Failure *why)
{
    const Podmon__Namespaces *namespaces = pod->spec->namespaces;
    bool has_init = namespaces && namespaces->pid == PODMON__NAMESPACE_MODE__NAMESPACE_POD;
    AUTO_FREE char *init_cgroup = has_init ? pod_make_cgroup_path(pod, "init") : NULL;
    uint64_t start_time = 0;
    int r = 0;

    if (has_init && !init_cgroup)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "no memory for a path");
    if (has_init)
        r = cgroup_create(init_cgroup, NULL, why);
    if (r >= 0)
        r = sandbox_create(pod->spec, pod->run_fd, pod->run_path, init_cgroup, &pod->sandbox, why);
    if (r < 0)
        return r;
    pod->sandbox_made = true;
    if (pod->sandbox.init_pid > 0) {
        r = process_read_start(pod->sandbox.init_pid, &start_time);
        if (r >= 0)
            r = record_set_process(&pod->record->init, pod->sandbox.init_pid, start_time);
        if (r < 0)
            return failure_set(why, FAILURE_INTERNAL, -r, "cannot record the pod's init");
    }
    return 0;
}

/* Needs the cgroup only for an init; else both are made at the same time. */
static bool sandbox_can_begin(const Pod *pod)
{
    return *pod->record->cgroup ||
           !(pod->spec->namespaces &&
             pod->spec->namespaces->pid == PODMON__NAMESPACE_MODE__NAMESPACE_POD);
}

/* ---- the network */

typedef struct NetworkJob {
    const Podmon__PodSpec *spec;
    const char *netns;
    int run_fd; /* the pod's directory */
    bool again;
} NetworkJob;

/* Of one plugin's call. */
static uint64_t network_timeout(const Podmon__PodSpec *spec)
{
    uint64_t timeout = spec->network->timeout_ms;

    return (timeout ? timeout : NETWORK_DEFAULT_MS) * CLOCK_MILLISECOND;
}

static int network_run(void *data, Text *output, Failure *why)
{
    const NetworkJob *job = data;
    AUTO_CLOSE int run_fd = openat(job->run_fd, "../..", O_PATH | O_DIRECTORY | O_CLOEXEC);
    AUTO_CLOSE int lock =
        network_lock(run_fd, NETWORK_ADDS, clock_monotonic() + network_timeout(job->spec), why);

    if (lock < 0)
        return lock;
    if (job->again) {
        int r = network_del(job->spec, NULL, NULL, why);
        if (r < 0)
            return r;
    }
    return network_add(job->spec, job->netns, output, why);
}

static int take_network(Pod *pod, const char *result, size_t size, Failure *why)
{
    char **addresses = NULL;
    int r = record_set_bytes(&pod->record->network_result, result, size);

    pod->network_added = true;
    if (r >= 0)
        r = network_addresses(result, &addresses);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot read the result of the network");
    record_set_list(&pod->record->ips, &pod->record->n_ips, addresses);
    return 0;
}

static void network_done(void *data, const char *output, size_t size, const Failure *why)
{
    Pod *pod = data;
    Failure failure = {0};

    pod->network_worker = NULL;
    if (why)
        note_failure(pod, why);
    else if (take_network(pod, output, size, &failure) < 0)
        note_failure(pod, &failure);
    go_on(pod);
}

static uint64_t network_deadline(const Pod *pod)
{
    return clock_monotonic() + network_timeout(pod->spec) * NETWORK_CALLS_MAX;
}

static int begin_network(Pod *pod, Failure *why)
{
    AUTO_FREE char *path = NULL;
    NetworkJob job = {.spec = pod->spec, .run_fd = pod->run_fd, .again = pod->set_up_again};
    int r;

    if (asprintf(&path, "%s/" LAYOUT_NETNS, pod->run_path) < 0)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "no memory for a path");
    r = record_set_text(&pod->record->network_namespace, path);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "no memory for a path");
    if (!uses_network(pod))
        return 0;
    job.netns = path;
    return worker_start(pod->loop, network_run, &job, network_deadline(pod), network_done, pod,
                        &pod->network_worker, why);
}

/* ---- the end of it */

static int finish(Pod *pod, Failure *why)
{
    int r = sandbox_write_hosts(pod->spec, pod->run_fd, pod->record->ips, why);

    if (r < 0)
        return r;
    if (!pod_advance(pod, POD_EVENT_STARTED))
        return failure_say(why, FAILURE_INTERNAL, "the pod cannot become ready now");
    r = pod_publish(pod, why);
    if (r < 0)
        pod->state = POD_STATE_STARTING; /* Nobody has seen it ready. */
    return r;
}

static void told_nobody(void *data, uint32_t events)
{
    Pod *pod = data;

    (void)events;
    pod->failure_told = true;
    pod_maybe_exit(pod);
}

/* Nothing of it runs in a worker any more. */
static void give_up(Pod *pod)
{
    Failure why = {0};

    log_error("the pod could not be started: %s", pod->failure.text);
    if (teardown_erase(pod, &why) < 0)
        log_error("of a pod that could not be started something is left: %s", why.text);
    (void)pod_advance(pod, POD_EVENT_START_FAILED);
    pod->failure_told = pod->run_calls != NULL;
    if (event_add_timer(pod->loop, clock_monotonic() + FAILED_SECONDS * CLOCK_SECOND, told_nobody,
                        pod, &pod->timer) < 0)
        pod->failure_told = true;
    call_list_answer(&pod->run_calls, &pod->failure);
    call_list_answer(&pod->stop_calls, NULL);
    call_list_answer(&pod->remove_calls, NULL);
    pod_maybe_exit(pod);
}

static void network_undone(void *data, const char *output, size_t size, const Failure *why)
{
    Pod *pod = data;

    (void)output;
    (void)size;
    pod->network_worker = NULL;
    pod->network_added = false;
    if (why)
        note_failure(pod, why);
    go_on(pod);
}

static int network_undo_run(void *data, Text *output, Failure *why)
{
    const Pod *pod = data;
    AUTO_FREE char *result = record_copy_text(&pod->record->network_result);

    (void)output;
    return network_del(pod->spec, pod->record->network_namespace, result, why);
}

/* To be called whenever a part is through. */
static void go_on(Pod *pod)
{
    Failure why = {0};
    int r = 0;

    if (pod->failure.code == FAILURE_NONE && !pod->sandbox_made && sandbox_can_begin(pod)) {
        r = begin_sandbox(pod, &why);
        if (r >= 0 && pod->sandbox.netns_fd >= 0)
            r = begin_network(pod, &why);
        if (r < 0)
            note_failure(pod, &why);
    }
    if (pod->scope_worker || pod->network_worker)
        return;
    if (pod->failure.code == FAILURE_NONE && finish(pod, &why) < 0)
        note_failure(pod, &why);
    if (pod->failure.code == FAILURE_NONE) {
        call_list_answer(&pod->run_calls, NULL);
        initwatch_begin(pod);
        teardown_go_on(pod);
        return;
    }
    if (pod->network_added) {
        r = worker_start(pod->loop, network_undo_run, pod, network_deadline(pod), network_undone,
                         pod, &pod->network_worker, &why);
        if (r >= 0)
            return;
        note_failure(pod, &why);
    }
    give_up(pod);
}

int setup_clear(Pod *pod, Failure *why)
{
    const Podmon__CgroupPlan *plan = pod->spec->cgroup;
    AUTO_FREE char *path = NULL;
    int r = sandbox_restore(pod->spec, pod->run_fd, pod->record->init, &pod->sandbox, why);

    if (r >= 0)
        r = sandbox_destroy(&pod->sandbox, pod->run_fd, why);
    if (r < 0 || pod_uses_scope(pod) || !plan || !*plan->name)
        return r; /* A scope is stopped before another is started. */
    path = setup_join_cgroup(plan->parent, plan->name);
    if (!path)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "no memory for a path");
    r = cgroup_kill(path);
    return r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot kill what is left in cgroup %s",
                               path)
                 : 0;
}

void setup_begin(Pod *pod)
{
    Failure why = {0};

    /* Whoever finds this record, also after a power cut, knows that there may be something to undo.
     * The first copy replaces nothing, which disks do quickly. */
    if (pod_publish(pod, &why) < 0 || begin_cgroup(pod, &why) < 0)
        note_failure(pod, &why);
    (void)FAULTPOINT("pod-signed");
    pod_copy(pod);
    go_on(pod);
}
