/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/pod.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "podmon/container.h"
#include "podmon/publish.h"
#include "podmon/sample.h"
#include "podmon/stream/streams.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/file.h"
#include "shared/layout.h"
#include "shared/log.h"

/* Opens BASE/pods/<id> and BASE/pods, making the former. */
static int open_directories(const char *base, const char *id, char **ret_path, int *ret_pods_fd,
                            int *ret_fd, Failure *why)
{
    AUTO_FREE char *path = NULL;
    AUTO_CLOSE int base_fd = -1, pods_fd = -1;
    int fd;

    if (asprintf(&path, "%s/" LAYOUT_PODS "/%s", base, id) < 0)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "no memory for a path");
    base_fd = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (base_fd < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot open %s", base);
    pods_fd = file_open_directory_at(base_fd, LAYOUT_PODS, 0700);
    if (pods_fd < 0)
        return failure_set(why, FAILURE_INTERNAL, -pods_fd, "cannot open %s/" LAYOUT_PODS, base);
    fd = file_open_directory_at(pods_fd, id, 0700);
    if (fd < 0)
        return failure_set(why, FAILURE_INTERNAL, -fd, "cannot open %s", path);
    *ret_path = TAKE(path);
    *ret_pods_fd = take_fd(&pods_fd);
    *ret_fd = fd;
    return 0;
}

int pod_new(EventLoop *loop, const char *id, const char *run, const char *root, Pod **ret,
            Failure *why)
{
    Pod *pod = calloc(1, sizeof(*pod));
    int r;

    if (!pod)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "no memory for a pod");
    pod->loop = loop;
    pod->sandbox = SANDBOX_EMPTY;
    pod->run_pods_fd = pod->root_pods_fd = pod->run_fd = pod->root_fd = -1;
    (void)snprintf(pod->id, sizeof(pod->id), "%s", id);
    r = open_directories(run, id, &pod->run_path, &pod->run_pods_fd, &pod->run_fd, why);
    if (r >= 0)
        r = open_directories(root, id, &pod->root_path, &pod->root_pods_fd, &pod->root_fd, why);
    if (r >= 0) {
        r = ledger_open(pod->run_fd, &pod->ledger, &pod->again);
        if (r < 0)
            (void)failure_set(why, FAILURE_INTERNAL, -r, "cannot map the pod's ledger");
    }
    if (r >= 0)
        r = cgroup_probe(&pod->layout, why);
    if (r < 0) {
        pod_free(pod);
        return r;
    }
    *ret = pod;
    return 0;
}

Pod *pod_free(Pod *pod)
{
    if (!pod)
        return NULL;
    pod->streams = streams_free(pod->streams);
    podmon__handover__free_unpacked(pod->handover, NULL); /* Accepts NULL. */
    while (pod->containers)
        container_free(pod->containers);
    pod->sampler = sampler_free(pod->sampler);
    worker_free(pod->scope_worker);
    worker_free(pod->network_worker);
    event_free(pod->init_source);
    event_free(pod->timer);
    event_free(pod->publish_timer);
    event_free(pod->copy_timer);
    server_free(pod->server);
    sandbox_done(&pod->sandbox);
    if (pod->record)
        podmon__pod_record__free_unpacked(pod->record, NULL);
    pod->ledger = ledger_close(pod->ledger);
    fd_close(&pod->run_fd);
    fd_close(&pod->root_fd);
    fd_close(&pod->run_pods_fd);
    fd_close(&pod->root_pods_fd);
    free(pod->run_path);
    free(pod->root_path);
    free(pod);
    return NULL;
}

void pod_copy(Pod *pod)
{
    Failure why = {0};

    if (!pod->copy_timer)
        return;
    pod->copy_timer = event_free(pod->copy_timer);
    if (publish_copy(pod->root_fd, pod->record, &why) < 0)
        log_warning("%s; the next change tries again", why.text);
}

static void copy_due(void *data, uint32_t events)
{
    (void)events;
    pod_copy(data);
}

int pod_publish(Pod *pod, Failure *why)
{
    int r;

    pod->record->phase = lifecycle_pod_phase(pod->state);
    r = publish_record(pod->run_fd, pod->record, why);
    if (r >= 0)
        sampler_follow(pod);
    if (r < 0 || pod->copy_timer)
        return r;
    if (event_add_timer(pod->loop, clock_monotonic() + CLOCK_SECOND, copy_due, pod,
                        &pod->copy_timer) < 0)
        log_warning("no memory for a timer: the copy of the state file is out of date");
    return 0;
}

static void publish_again(void *data, uint32_t events)
{
    Pod *pod = data;

    (void)events;
    if (pod_publish(pod, NULL) < 0) {
        (void)event_set_timer(pod->publish_timer, clock_monotonic() + CLOCK_SECOND);
        return;
    }
    log_notice("the pod's state is published again");
    pod->publish_timer = event_free(pod->publish_timer);
    pod_maybe_exit(pod);
}

void pod_publish_surely(Pod *pod)
{
    Failure why = {0};

    if (pod_publish(pod, &why) >= 0 || pod->publish_timer)
        return;
    log_error("%s; trying again every second", why.text);
    if (event_add_timer(pod->loop, clock_monotonic() + CLOCK_SECOND, publish_again, pod,
                        &pod->publish_timer) < 0)
        log_error("no memory to try again: the state file is out of date");
}

bool pod_advance(Pod *pod, PodEvent event)
{
    const LifecycleStep *step = lifecycle_pod(pod->state, event);

    if (!step || step->verdict != LIFECYCLE_DO) {
        log_error("pod event %d is impossible in state %s", (int)event,
                  lifecycle_pod_name(pod->state));
        return false;
    }
    pod->state = (PodState)step->next;
    return true;
}

void pod_maybe_exit(Pod *pod)
{
    bool over = pod->state == POD_STATE_STOPPED || pod->state == POD_STATE_REMOVING ||
                (pod->state == POD_STATE_FAILED && pod->failure_told);

    if (!over || server_connections(pod->server) > 0 || pod->publish_timer || pod->network_worker ||
        pod->scope_worker || pod->exec_running > 0)
        return;
    pod_copy(pod);
    event_loop_exit(pod->loop, EXIT_SUCCESS);
}

/* Everything that somebody here waits for by a pidfd. */
static bool child_is_ours(void *data, pid_t pid)
{
    const Pod *pod = data;

    if (pid == pod->sandbox.init_pid || streams_own(pod->streams, pid))
        return true;
    for (const Container *container = pod->containers; container; container = container->next)
        if (container->process.pid == pid)
            return true;
    return false;
}

void pod_reap_orphans(Pod *pod)
{
    /* Workers and execs wait for their own; what is left then is reaped when they are through. */
    if (pod->scope_worker || pod->network_worker || pod->exec_running > 0 || pod->handover ||
        sampler_has_worker(pod->sampler))
        return;
    process_reap_orphans(child_is_ours, pod);
}

bool pod_uses_scope(const Pod *pod)
{
    return pod->spec->cgroup && *pod->spec->cgroup->unit;
}

/* cAdvisor takes a group for CRI-O's by its beginning, the kubelet finds the id before ".scope". */
char *pod_make_id_path(const Pod *pod, const char *id)
{
    char leaf[sizeof("crio-.scope") + ID_LENGTH];

    (void)snprintf(leaf, sizeof(leaf), pod->spec->cadvisor ? "crio-%s.scope" : "%s", id);
    return pod_make_cgroup_path(pod, leaf);
}

char *pod_make_cgroup_path(const Pod *pod, const char *leaf)
{
    char *path;

    return asprintf(&path, "%s/%s", pod->record->cgroup, leaf) < 0 ? NULL : path;
}
