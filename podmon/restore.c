/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "podmon/container.h"
#include "podmon/ending.h"
#include "podmon/process.h"
#include "podmon/publish.h"
#include "podmon/setup.h"
#include "podmon/start.h"
#include "podmon/teardown.h"
#include "shared/layout.h"
#include "shared/log.h"
#include "shared/record.h"

RestorePlan restore_plan(const Podmon__PodRecord *record, bool same_boot)
{
    switch (record->phase) {
    case PODMON__POD_PHASE__POD_STARTING:
        if (!same_boot)
            return RESTORE_STOP;
        return record->sequence == 0 ? RESTORE_SET_UP : RESTORE_SET_UP_AGAIN;
    case PODMON__POD_PHASE__POD_READY:
        return same_boot ? RESTORE_ADOPT : RESTORE_STOP;
    case PODMON__POD_PHASE__POD_STOPPED:
        return RESTORE_NOTHING;
    case PODMON__POD_PHASE__POD_REMOVING:
        return RESTORE_REMOVE;
    case PODMON__POD_PHASE__POD_STOPPING:
    case _PODMON__POD_PHASE_IS_INT_SIZE:
        break;
    }
    return RESTORE_STOP;
}

static int load_record(Pod *pod, Failure *why)
{
    ProtobufCMessage *message = NULL;
    int r =
        record_read_at(pod->run_fd, LAYOUT_STATE, &podmon__pod_record__descriptor, NULL, &message);

    if (r < 0) {
        log_warning("the state file cannot be read (error %d); its copy has to do", -r);
        r = record_read_at(pod->root_fd, LAYOUT_STATE, &podmon__pod_record__descriptor, NULL,
                           &message);
    }
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot read the record of pod %s", pod->id);
    pod->record = (Podmon__PodRecord *)message;
    pod->spec = pod->record->spec;
    if (!pod->spec || strcmp(pod->spec->id, pod->id) != 0)
        return failure_say(why, FAILURE_INTERNAL, "the record of pod %s is of another pod",
                           pod->id);
    return 0;
}

/* Writes into the record who looks after the pod now. */
static int sign_record(Pod *pod, const char *boot_id, Failure *why)
{
    Podmon__PodRecord *record = pod->record;
    uint64_t start_time;
    int r = process_read_start(getpid(), &start_time);

    if (r >= 0)
        r = record_set_process(&record->podmon, getpid(), start_time);
    if (r >= 0)
        r = record_set_text(&record->boot_id, boot_id);
    if (r >= 0)
        r = record_set_text(&record->podmon_version, PODMON_VERSION);
    return r < 0
               ? failure_set(why, FAILURE_INTERNAL, -r, "cannot sign the record of pod %s", pod->id)
               : 0;
}

static ContainerState state_of_phase(Podmon__ContainerPhase phase)
{
    switch (phase) {
    case PODMON__CONTAINER_PHASE__CONTAINER_CREATED:
        return CONTAINER_STATE_CREATED;
    case PODMON__CONTAINER_PHASE__CONTAINER_RUNNING:
        return CONTAINER_STATE_RUNNING;
    case PODMON__CONTAINER_PHASE__CONTAINER_EXITED:
    case PODMON__CONTAINER_PHASE__CONTAINER_UNKNOWN:
    case _PODMON__CONTAINER_PHASE_IS_INT_SIZE:
        break;
    }
    return CONTAINER_STATE_EXITED;
}

/* Its process goes on under our eyes, or has ended unseen. */
static void adopt_running(Container *container, bool same_boot)
{
    const Podmon__ProcessIdentity *process = container->record->process;
    Failure why = {0};
    int pidfd = same_boot && process ? process_open(process->pid, process->start_time) : -ESRCH;

    if (pidfd >= 0) {
        container->process.pid = process->pid;
        container->process.pidfd = pidfd;
    }
    if (same_boot && start_resume(container, &why) < 0)
        log_error("%s", why.text);
    if (pidfd < 0)
        ending_without_process(container);
}

static int adopt_container(Pod *pod, Podmon__ContainerRecord *record, Container **ret, Failure *why)
{
    int r = container_adopt(pod, record, ret);

    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "no memory for a container");
    (*ret)->state = state_of_phase(record->phase);
    (*ret)->dir_fd = file_open_directory_at(pod->run_fd, record->spec->id, 0700);
    if ((*ret)->dir_fd < 0)
        return failure_set(why, FAILURE_INTERNAL, -(*ret)->dir_fd,
                           "cannot open the directory of container %s", record->spec->id);
    return 0;
}

static int adopt_containers(Pod *pod, bool same_boot, Failure *why)
{
    for (size_t i = 0; i < pod->record->n_containers; i++) {
        Container *container;
        int r = adopt_container(pod, pod->record->containers[i], &container, why);
        if (r < 0)
            return r;
    }
    /* What ends now may look at the others: only when all of them are there. */
    for (Container *container = pod->containers; container; container = container->next) {
        if (container->state == CONTAINER_STATE_RUNNING)
            adopt_running(container, same_boot);
        else if (same_boot)
            (void)cgroup_kill(container->record->cgroup); /* Died between clone and record. */
    }
    return 0;
}

/* The scope goes on while a process of the pod lives, and podmon belongs into it. */
static void rejoin_scope(const Pod *pod)
{
    Failure why = {0};

    if (pod_uses_scope(pod) && cgroup_is_empty(pod->record->cgroup) == 0 &&
        setup_join_supervisor(pod, &why) < 0)
        log_warning("%s", why.text);
}

static int adopt_all(Pod *pod, bool same_boot, Failure *why)
{
    int r = 0;

    pod->network_added = pod->spec->network != NULL;
    if (same_boot) {
        r = sandbox_restore(pod->spec, pod->run_fd, pod->record->init, &pod->sandbox, why);
        pod->sandbox_made = true;
        rejoin_scope(pod);
    }
    return r < 0 ? r : adopt_containers(pod, same_boot, why);
}

static int carry_out(Pod *pod, RestorePlan plan, bool same_boot, Failure *why)
{
    int r = 0;

    switch (plan) {
    case RESTORE_SET_UP_AGAIN:
        pod->set_up_again = true;
        r = setup_clear(pod, why);
        if (r < 0)
            return r;
        setup_begin(pod);
        return 0;
    case RESTORE_SET_UP:
        setup_begin(pod);
        return 0;
    case RESTORE_ADOPT:
        pod->state = POD_STATE_READY;
        r = adopt_all(pod, same_boot, why);
        break;
    case RESTORE_STOP:
        pod->state = POD_STATE_STOPPING;
        r = adopt_all(pod, same_boot, why);
        break;
    case RESTORE_NOTHING:
        pod->state = POD_STATE_STOPPED;
        r = adopt_containers(pod, same_boot, why);
        break;
    case RESTORE_REMOVE:
        pod->state = POD_STATE_REMOVING;
        break;
    }
    if (r < 0)
        return r;
    pod_publish_surely(pod);
    if (plan == RESTORE_STOP || plan == RESTORE_REMOVE)
        teardown_resume(pod);
    return 0;
}

int restore_pod(Pod *pod, Failure *why)
{
    char boot_id[LAYOUT_BOOT_ID_SIZE];
    bool same_boot;
    int r = layout_read_boot_id(boot_id);

    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot read the boot id");
    r = load_record(pod, why);
    if (r < 0)
        return r;
    same_boot = strcmp(pod->record->boot_id, boot_id) == 0;
    r = sign_record(pod, boot_id, why);
    if (r < 0)
        return r;
    return carry_out(pod, restore_plan(pod->record, same_boot), same_boot, why);
}
