/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/teardown.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "podmon/container.h"
#include "podmon/initwatch.h"
#include "podmon/network.h"
#include "podmon/publish.h"
#include "podmon/stream/streams.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/faultpoint.h"
#include "shared/fd.h"
#include "shared/file.h"
#include "shared/id.h"
#include "shared/layout.h"
#include "shared/log.h"

enum {
    CGROUP_TRIES = 50,
    CGROUP_RETRY_MS = 20,
    NETWORK_CALLS_MAX = 8,
    NETWORK_DEFAULT_MS = 90 * 1000,
    GRACE_MS = 8 * 1000, /* of every container; systemd kills the scope after 10 s */
};

static void remove_all(Pod *pod);

static bool containers_run(const Pod *pod)
{
    for (const Container *container = pod->containers; container; container = container->next)
        if (container->state != CONTAINER_STATE_CREATED &&
            container->state != CONTAINER_STATE_EXITED)
            return true;
    return false;
}

/* The pod stays STOPPING; whoever asks again begins again. */
static void fail(Pod *pod, const Failure *why)
{
    log_error("the pod could not be stopped: %s", why->text);
    call_list_answer(&pod->stop_calls, why);
    call_list_answer(&pod->remove_calls, why);
}

/* ---- the network */

static int network_run(void *data, Text *output, Failure *why)
{
    const Pod *pod = data;
    AUTO_FREE char *result = record_copy_text(&pod->record->network_result);
    bool pinned = faccessat(pod->run_fd, LAYOUT_NETNS, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
                  pod->sandbox.netns_fd >= 0;

    (void)output;
    return network_del(pod->spec, pinned ? pod->record->network_namespace : NULL, result, why);
}

static void network_done(void *data, const char *output, size_t size, const Failure *why)
{
    Pod *pod = data;

    (void)output;
    (void)size;
    pod->network_worker = NULL;
    if (why) {
        fail(pod, why);
        return;
    }
    pod->network_added = false;
    teardown_go_on(pod);
}

static int begin_network(Pod *pod, Failure *why)
{
    uint64_t timeout = pod->spec->network->timeout_ms;

    if (timeout == 0)
        timeout = NETWORK_DEFAULT_MS;
    return worker_start(pod->loop, network_run, pod,
                        clock_monotonic() + timeout * CLOCK_MILLISECOND * NETWORK_CALLS_MAX,
                        network_done, pod, &pod->network_worker, why);
}

/* ---- cgroups */

/* Of a scope only what systemd will not remove when its last process, podmon, has ended. */
static int remove_cgroups(const Pod *pod)
{
    AUTO_FREE char *init = NULL;

    if (!*pod->record->cgroup)
        return 0;
    if (!pod_uses_scope(pod))
        return cgroup_remove(pod->record->cgroup);
    init = pod_make_cgroup_path(pod, "init");
    cgroup_prune_scope(pod->record->cgroup);
    return init ? cgroup_remove(init) : -ENOMEM;
}

static void try_again(void *data, uint32_t events)
{
    Pod *pod = data;

    (void)events;
    pod->timer = event_free(pod->timer);
    teardown_go_on(pod);
}

/* False: not yet, the timer goes on. */
static bool cgroups_are_gone(Pod *pod)
{
    int r = remove_cgroups(pod);

    if (r == -EBUSY && pod->tries++ < CGROUP_TRIES) {
        uint64_t when = clock_monotonic() + CGROUP_RETRY_MS * CLOCK_MILLISECOND;
        if (!pod_uses_scope(pod))
            (void)cgroup_kill(pod->record->cgroup); /* Somebody else's process, or a late fork. */
        pod_reap_orphans(pod);
        if (event_add_timer(pod->loop, when, try_again, pod, &pod->timer) >= 0)
            return false;
    }
    if (r < 0)
        log_warning("cannot remove the pod's cgroup %s: error %d", pod->record->cgroup, -r);
    return true;
}

/* ---- stop */

/* No container runs, the network is gone. */
static void finish_stop(Pod *pod)
{
    Failure why = {0};

    if (sandbox_destroy(&pod->sandbox, pod->run_fd, &why) < 0) {
        fail(pod, &why);
        return;
    }
    (void)FAULTPOINT("pod-undone");
    (void)record_set_process(&pod->record->init, 0, 0); /* Clearing needs no memory. */
    if (!cgroups_are_gone(pod))
        return;
    (void)pod_advance(pod, POD_EVENT_STOPPED);
    pod_publish_surely(pod);
    call_list_answer(&pod->stop_calls, NULL);
    if (pod->remove_calls)
        remove_all(pod);
    pod_maybe_exit(pod);
}

static void begin_stop(Pod *pod)
{
    (void)pod_advance(pod, POD_EVENT_STOP);
    pod_publish_surely(pod);
    pod->tries = 0;
    initwatch_end(pod);
    pod->network_worker = worker_free(pod->network_worker); /* a check, if there is one */
    streams_stop(pod);
    for (Container *container = pod->containers; container; container = container->next)
        container_stop(container, 0, NULL);
}

void teardown_go_on(Pod *pod)
{
    Failure why = {0};

    if (pod->state == POD_STATE_READY) {
        bool gracefully = pod->stop_gracefully && !containers_run(pod);
        if (!gracefully && !pod->stop_calls && !pod->remove_calls)
            return;
        begin_stop(pod);
    }
    if (pod->state != POD_STATE_STOPPING || containers_run(pod) || pod->exec_running > 0 ||
        pod->network_worker || pod->timer)
        return;
    if (pod->network_added) {
        if (begin_network(pod, &why) < 0)
            fail(pod, &why);
        return;
    }
    finish_stop(pod);
}

void teardown_stop(Pod *pod, Call *call)
{
    const LifecycleStep *step = lifecycle_pod(pod->state, POD_EVENT_STOP);

    if (step->verdict == LIFECYCLE_DONE) {
        call_answer_done(call);
        return;
    }
    call_list_add(&pod->stop_calls, call);
    teardown_go_on(pod);
}

void teardown_stop_gracefully(Pod *pod)
{
    pod->stop_gracefully = true;
    for (Container *container = pod->containers; container; container = container->next)
        container_stop(container, GRACE_MS, NULL);
    teardown_go_on(pod);
    pod_maybe_exit(pod);
}

/* ---- remove */

/* How many containers have a directory in RUN/pods/<id>, which is deleted, if wanted; or −errno. */
static int count_containers(const Pod *pod, bool delete)
{
    int fd = openat(pod->run_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), count = 0, r = 0;
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *item;

    if (!stream) {
        fd_close(&fd);
        return -errno;
    }
    while (r >= 0 && (item = readdir(stream))) {
        if (!id_is_valid(item->d_name))
            continue;
        count++;
        if (delete)
            r = file_delete_tree_at(pod->run_fd, item->d_name);
    }
    (void)closedir(stream);
    return r < 0 ? r : count;
}

/* Both directories. What the record describes goes before the record, which says what is still to
 * do. */
static int delete_directories(Pod *pod, Failure *why)
{
    int r;

    pod->publish_timer = event_free(pod->publish_timer);
    pod->copy_timer = event_free(pod->copy_timer);
    r = file_delete_tree_at(pod->root_pods_fd, pod->id);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot delete %s", pod->root_path);
    r = count_containers(pod, true);
    if (r >= 0)
        r = file_delete_tree_at(pod->run_pods_fd, pod->id);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot delete %s", pod->run_path);
    return 0;
}

int teardown_finish_removal(Pod *pod, Failure *why)
{
    int count = count_containers(pod, false);

    if (count != 0)
        return failure_set(why, FAILURE_INTERNAL, count < 0 ? -count : ENOTEMPTY,
                           "pod %s has no record, but containers", pod->id);
    return delete_directories(pod, why);
}

/* The pod is STOPPED, or a removal of it failed before. */
static void remove_all(Pod *pod)
{
    Failure why = {0};
    int r;

    pod->state = POD_STATE_REMOVING;
    (void)pod_publish(pod, NULL); /* A full disk must not keep what would make room. */
    while (pod->containers)
        container_free(pod->containers);
    r = remove_cgroups(pod);
    if (r < 0)
        (void)failure_set(&why, FAILURE_INTERNAL, -r, "cannot remove the pod's cgroup %s",
                          pod->record->cgroup);
    else
        r = delete_directories(pod, &why);
    if (r < 0)
        log_error("the pod could not be removed: %s", why.text);
    call_list_answer(&pod->remove_calls, r < 0 ? &why : NULL);
}

void teardown_remove(Pod *pod, Call *call)
{
    const LifecycleStep *step = lifecycle_pod(pod->state, POD_EVENT_REMOVE);

    if (step->verdict == LIFECYCLE_DONE) {
        call_answer_done(call);
        return;
    }
    call_list_add(&pod->remove_calls, call);
    if (pod->state == POD_STATE_STOPPED || pod->state == POD_STATE_REMOVING)
        remove_all(pod);
    else
        teardown_go_on(pod);
}

void teardown_resume(Pod *pod)
{
    if (pod->state == POD_STATE_REMOVING) {
        remove_all(pod);
        pod_maybe_exit(pod);
        return;
    }
    for (Container *container = pod->containers; container; container = container->next)
        container_stop(container, 0, NULL);
    teardown_go_on(pod);
}

int teardown_erase(Pod *pod, Failure *why)
{
    int r = sandbox_destroy(&pod->sandbox, pod->run_fd, why);

    if (r < 0)
        return r;
    r = remove_cgroups(pod);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot remove the pod's cgroup %s",
                           pod->record->cgroup);
    return delete_directories(pod, why);
}
