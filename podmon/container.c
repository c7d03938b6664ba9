/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/container.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "podmon/labels.h"
#include "podmon/limits.h"
#include "podmon/logfile.h"
#include "podmon/lsm.h"
#include "podmon/publish.h"
#include "podmon/rootfs.h"
#include "podmon/userns.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/faultpoint.h"
#include "shared/fd.h"
#include "shared/file.h"
#include "shared/layout.h"
#include "shared/log.h"
#include "shared/message.h"

enum { GRACE_MAX_SECONDS = 365 * 24 * 3600 };

Container *container_find(const Pod *pod, const char *id)
{
    Container *container = pod->containers;

    while (container && strcmp(container->record->spec->id, id) != 0)
        container = container->next;
    return container;
}

Container *container_find_name(const Pod *pod, const char *name, uint32_t attempt)
{
    Container *container = pod->containers;

    while (container && (strcmp(container->record->spec->name, name) != 0 ||
                         container->record->spec->attempt != attempt))
        container = container->next;
    return container;
}

int container_adopt(Pod *pod, Podmon__ContainerRecord *record, Container **ret)
{
    Container *container = calloc(1, sizeof(*container));

    if (!container)
        return -ENOMEM;
    *container = (Container){
        .pod = pod,
        .next = pod->containers,
        .record = record,
        .dir_fd = -1,
        .root_fd = -1,
        .process = {.pidfd = -1, .outcome_fd = -1, .tty_fd = -1},
        .stdin_fd = -1,
        .stop_deadline = UINT64_MAX,
    };
    pod->containers = container;
    *ret = container;
    return 0;
}

Container *container_free(Container *container)
{
    Container **link;

    if (!container)
        return NULL;
    for (link = &container->pod->containers; *link; link = &(*link)->next) {
        if (*link == container) {
            *link = container->next;
            break;
        }
    }
    event_free(container->watch);
    event_free(container->timer);
    event_free(container->stop_timer);
    stdio_free(container->stdio);
    fd_close(&container->dir_fd);
    fd_close(&container->root_fd);
    fd_close(&container->stdin_fd);
    fd_close(&container->process.pidfd);
    fd_close(&container->process.outcome_fd);
    fd_close(&container->process.tty_fd);
    free(container->identity);
    free(container);
    return NULL;
}

bool container_advance(Container *container, ContainerEvent event)
{
    const LifecycleStep *step = lifecycle_container(container->state, event);

    if (!step || step->verdict != LIFECYCLE_DO) {
        log_error("container event %d is impossible in state %s", (int)event,
                  lifecycle_container_name(container->state));
        return false;
    }
    container->state = (ContainerState)step->next;
    container->record->phase = lifecycle_container_phase(container->state);
    return true;
}

/* ROOT/pods/<pod>/<id>/<leaf>, malloc'ed. */
static char *make_root_path(const Container *container, const char *leaf)
{
    char *path;

    return asprintf(&path, "%s/%s/%s", container->pod->root_path, container->record->spec->id,
                    leaf) < 0
               ? NULL
               : path;
}

int container_load_root(Container *container, Failure *why)
{
    const Podmon__ContainerSpec *spec = container->record->spec;
    AUTO_FREE char *upper = NULL;
    AUTO_FREE char *work = NULL;
    Labels labels;
    int r;

    if (container->root_fd >= 0)
        return 0;
    r = labels_of(container->pod->spec, spec->security, &labels, why);
    if (r < 0)
        return r;
    upper = make_root_path(container, LAYOUT_UPPER);
    work = make_root_path(container, LAYOUT_WORK);
    if (!upper || !work)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "no memory for a path");
    return rootfs_mount(spec->layers, spec->n_layers, upper, work,
                        container->pod->sandbox.userns_fd, labels.file, &container->root_fd, why);
}

int container_load_identity(Container *container, Failure *why)
{
    AUTO_FREE Identity *identity = NULL;
    AUTO_CLOSE int running_fd = -1;
    int root_fd = container->root_fd;
    int r;

    if (container->identity)
        return 0;
    if (root_fd < 0) {
        char path[32];
        (void)snprintf(path, sizeof(path), "/proc/%d/root", (int)container->process.pid);
        root_fd = running_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (running_fd < 0)
            return failure_set(why, FAILURE_INTERNAL, errno, "cannot open the container's root");
    }
    identity = calloc(1, sizeof(*identity));
    if (!identity)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "no memory for a user");
    r = identity_read(container->record->spec->user, root_fd, identity, why);
    if (r < 0)
        return r;
    container->identity = TAKE(identity);
    return 0;
}

static int record_identity(Podmon__ContainerRecord *record, const Identity *identity)
{
    uint32_t *groups =
        calloc(identity->groups_count > 0 ? identity->groups_count : 1, sizeof(*groups));

    if (!groups)
        return -ENOMEM;
    memcpy(groups, identity->groups, identity->groups_count * sizeof(*groups));
    free(record->groups);
    record->groups = groups;
    record->n_groups = identity->groups_count;
    record->uid = identity->uid;
    record->gid = identity->gid;
    return 0;
}

static int check_spec(const Pod *pod, const Podmon__ContainerSpec *spec, Failure *why)
{
    LsmPlan labels;

    if (!id_is_valid(spec->id) || !id_belongs(spec->id, pod->id))
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "container id \"%s\" does not belong to the pod", spec->id);
    if (*spec->log_path && !logfile_path_is_valid(spec->log_path))
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "log_path \"%s\" is not a relative path without \"..\"", spec->log_path);
    if (spec->n_argv == 0)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "container \"%s\" has no command: neither the request nor the image "
                           "names one",
                           spec->name);
    if (pod->record->n_containers >= POD_CONTAINERS_MAX)
        return failure_say(why, FAILURE_RESOURCE_EXHAUSTED, "the pod has %d containers already",
                           POD_CONTAINERS_MAX);
    if (container_find(pod, spec->id))
        return failure_say(why, FAILURE_ALREADY_EXISTS, "container id \"%s\" is in use", spec->id);
    return lsm_prepare(pod->spec, spec->security, &labels, why);
}

/* A record of the container, owned by the caller. */
static int make_record(const Pod *pod, const Podmon__ContainerSpec *spec,
                       Podmon__ContainerRecord **ret)
{
    Podmon__ContainerRecord *record = malloc(sizeof(*record));
    AUTO_FREE char *log_path = NULL;
    AUTO_FREE char *cgroup = pod_make_id_path(pod, spec->id);
    int r = 0;

    if (!record)
        return -ENOMEM;
    podmon__container_record__init(record);
    record->created_at = clock_real();
    record->spec = (Podmon__ContainerSpec *)message_copy(&spec->base);
    if (*spec->log_path && *pod->spec->log_directory &&
        asprintf(&log_path, "%s/%s", pod->spec->log_directory, spec->log_path) < 0)
        r = -ENOMEM;
    if (!record->spec || !cgroup)
        r = -ENOMEM;
    if (r >= 0)
        r = record_set_text(&record->cgroup, cgroup);
    if (r >= 0 && log_path)
        r = record_set_text(&record->log_path, log_path);
    if (r < 0) {
        podmon__container_record__free_unpacked(record, NULL);
        return r;
    }
    *ret = record;
    return 0;
}

static int make_directories(Container *container, Failure *why)
{
    const Pod *pod = container->pod;
    const char *id = container->record->spec->id;
    const Podmon__Namespaces *namespaces = pod->spec->namespaces;
    AUTO_CLOSE int root_fd = -1, upper_fd = -1, work_fd = -1;

    container->dir_fd = file_open_directory_at(pod->run_fd, id, 0700);
    if (container->dir_fd < 0)
        return failure_set(why, FAILURE_INTERNAL, -container->dir_fd,
                           "cannot make the directory %s/%s", pod->run_path, id);
    root_fd = file_open_directory_at(pod->root_fd, id, 0700);
    /* What is in upper becomes the container's "/": others have to be able to pass. */
    upper_fd = root_fd < 0 ? root_fd : file_open_directory_at(root_fd, LAYOUT_UPPER, 0755);
    if (upper_fd >= 0 && userns_is_own(namespaces) &&
        fchown(upper_fd, userns_host_uid(namespaces, 0), userns_host_gid(namespaces, 0)) < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot give %s/%s to the pod's root",
                           pod->root_path, id);
    work_fd = upper_fd < 0 ? upper_fd : file_open_directory_at(root_fd, LAYOUT_WORK, 0700);
    if (work_fd < 0)
        return failure_set(why, FAILURE_INTERNAL, -work_fd, "cannot make the directory %s/%s",
                           pod->root_path, id);
    return 0;
}

/* Deletes what it has on the machine; no process of it is left. */
static int delete_traces(Container *container, Failure *why)
{
    const Pod *pod = container->pod;
    const char *id = container->record->spec->id;
    int r;

    fd_close(&container->root_fd);
    r = cgroup_remove(container->record->cgroup);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot remove the cgroup %s",
                           container->record->cgroup);
    r = file_delete_tree_at(pod->root_fd, id);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot delete %s/%s", pod->root_path, id);
    r = file_delete_tree_at(pod->run_fd, id);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot delete %s/%s", pod->run_path, id);
    return 0;
}

/* The end of the object and of its record. */
static void drop(Container *container)
{
    Pod *pod = container->pod;
    Podmon__ContainerRecord *record = container->record;

    container_free(container);
    record_drop_container(pod->record, record);
}

static int set_up(Container *container, Failure *why)
{
    int r = make_directories(container, why);

    if (r >= 0)
        r = container_load_root(container, why);
    if (r >= 0)
        r = container_load_identity(container, why);
    if (r >= 0 && record_identity(container->record, container->identity) < 0)
        r = failure_set(why, FAILURE_INTERNAL, ENOMEM, "no memory for a container");
    if (r >= 0)
        (void)FAULTPOINT("container-mounted");
    if (r >= 0)
        r = pod_publish(container->pod, why);
    (void)FAULTPOINT("container-recorded");
    return r;
}

int container_create(Pod *pod, const Podmon__ContainerSpec *spec, Container **ret, Failure *why)
{
    Podmon__ContainerRecord *record = NULL;
    Container *container = NULL;
    int r = check_spec(pod, spec, why);

    if (r < 0)
        return r;
    r = make_record(pod, spec, &record);
    if (r >= 0) {
        r = record_add_container(pod->record, record);
        if (r < 0)
            podmon__container_record__free_unpacked(record, NULL);
    }
    if (r >= 0) {
        r = container_adopt(pod, record, &container);
        if (r < 0)
            record_drop_container(pod->record, record);
    }
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "no memory for a container");
    r = set_up(container, why);
    if (r < 0) {
        Failure second = {0};
        if (delete_traces(container, &second) < 0)
            log_error("of a container that could not be made something is left: %s", second.text);
        drop(container);
        /* The publication may be what failed, after its first half. */
        (void)pod_publish(pod, NULL);
        return r;
    }
    *ret = container;
    return 0;
}

void container_kill(Container *container)
{
    int r = cgroup_kill(container->record->cgroup);

    container->killed = true;
    if (r < 0)
        log_warning("cannot kill by cgroup %s: error %d", container->record->cgroup, -r);
    if (container->process.pidfd >= 0)
        (void)fd_signal(container->process.pidfd, SIGKILL); /* Gone already: just as well. */
}

static void stop_expired(void *data, uint32_t events)
{
    (void)events;
    container_kill(data);
}

void container_stop_now(Container *container)
{
    const Podmon__ContainerSpec *spec = container->record->spec;
    uint64_t now = clock_monotonic();
    int r;

    if (container->stop_deadline <= now) {
        container_kill(container);
        return;
    }
    r = fd_signal(container->process.pidfd, spec->stop_signal > 0 ? spec->stop_signal : SIGTERM);
    if (r < 0 && r != -ESRCH)
        log_warning("the stop signal could not be sent: error %d", -r);
}

void container_stop(Container *container, int64_t grace_ms, Call *call)
{
    uint64_t grace, deadline;
    bool first = !container->stop_requested;
    const LifecycleStep *step = lifecycle_container(container->state, CONTAINER_EVENT_STOP);

    if (step->verdict == LIFECYCLE_DONE) {
        if (call)
            call_answer_done(call);
        return;
    }
    if (call)
        call_list_add(&container->stop_calls, call);
    if (container->state == CONTAINER_STATE_ENDING)
        return;

    grace = grace_ms < 0 ? 0 : (uint64_t)grace_ms * CLOCK_MILLISECOND;
    if (grace_ms > (int64_t)GRACE_MAX_SECONDS * 1000)
        grace = GRACE_MAX_SECONDS * CLOCK_SECOND;
    deadline = grace == 0 ? 0 : clock_monotonic() + grace;
    container->stop_requested = true;
    if (deadline < container->stop_deadline) {
        container->stop_deadline = deadline;
        container->stop_timer = event_free(container->stop_timer);
        if (deadline == 0 || event_add_timer(container->pod->loop, deadline, stop_expired,
                                             container, &container->stop_timer) < 0)
            container_kill(container);
    }
    if (first && deadline > 0 && container->state == CONTAINER_STATE_RUNNING)
        container_stop_now(container);
}

void container_delete(Container *container)
{
    Pod *pod = container->pod;
    Call *calls = TAKE(container->remove_calls);
    Failure why = {0};

    if (delete_traces(container, &why) < 0) {
        call_list_answer(&calls, &why);
        return;
    }
    drop(container);
    pod_publish_surely(pod);
    call_list_answer(&calls, NULL);
}

void container_remove(Container *container, Call *call)
{
    const LifecycleStep *step = lifecycle_container(container->state, CONTAINER_EVENT_REMOVE);

    call_list_add(&container->remove_calls, call);
    if (step->verdict == LIFECYCLE_JOIN)
        container_stop(container, 0, NULL);
    else
        container_delete(container);
}

/* All limits at once, since some share a file: a quota and its period, memory and its swap. */
int container_update(Container *container, const Podmon__Resources *resources, Failure *why)
{
    Podmon__ContainerSpec *spec = container->record->spec;
    Podmon__Resources *old = spec->resources, *merged = limits_merge(old, resources);
    int r = 0;

    if (!merged)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "no memory for limits");
    if (container->state != CONTAINER_STATE_CREATED)
        r = cgroup_update(container->record->cgroup, merged, why);
    if (r < 0) {
        podmon__resources__free_unpacked(merged, NULL);
        /* What was set before the one that is refused. */
        (void)cgroup_update(container->record->cgroup, old, NULL);
        return r;
    }
    spec->resources = merged;
    if (old)
        podmon__resources__free_unpacked(old, NULL);
    return pod_publish(container->pod, why);
}
