/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/restore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "podmon/container.h"
#include "podmon/ending.h"
#include "podmon/handover.h"
#include "podmon/initwatch.h"
#include "podmon/network_check.h"
#include "podmon/process.h"
#include "podmon/publish.h"
#include "podmon/setup.h"
#include "podmon/start.h"
#include "podmon/stream/streams.h"
#include "podmon/teardown.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/faultpoint.h"
#include "shared/fd.h"
#include "shared/file.h"
#include "shared/layout.h"
#include "shared/log.h"
#include "shared/record.h"

enum { CLEAR_TRIES = 100, CLEAR_MS = 5 };

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

/* −ENOENT: there is none, nor a copy. */
static int load_record(Pod *pod, Failure *why)
{
    ProtobufCMessage *message = NULL;
    int r =
        record_read_at(pod->run_fd, LAYOUT_STATE, &podmon__pod_record__descriptor, NULL, &message);
    bool is_missing = r == -ENOENT;

    if (r < 0) {
        log_warning("the state file cannot be read (error %d); its copy has to do", -r);
        r = record_read_at(pod->root_fd, LAYOUT_STATE, &podmon__pod_record__descriptor, NULL,
                           &message);
    }
    if (r < 0) {
        (void)failure_set(why, FAILURE_INTERNAL, -r, "cannot read the record of pod %s", pod->id);
        return r == -ENOENT && !is_missing ? -EIO : r;
    }
    pod->record = (Podmon__PodRecord *)message;
    pod->spec = pod->record->spec;
    if (!pod->spec || strcmp(pod->spec->id, pod->id) != 0)
        return failure_say(why, FAILURE_INTERNAL, "the record of pod %s is of another pod",
                           pod->id);
    return 0;
}

/* Whatever the last podmon died of is told once, in the journal, and stays in the record. */
static int tell_start(Pod *pod, bool same_boot)
{
    Podmon__PodRecord *record = pod->record;
    Ledger *ledger = pod->ledger;
    const char *name = sigabbrev_np(ledger->crash_signal);
    char text[96];

    if (record->sequence == 0)
        return 0;
    if (same_boot)
        record->podmon_starts++;
    if (ledger->crash_signal == 0) {
        if (same_boot && record->phase != PODMON__POD_PHASE__POD_STOPPED)
            log_notice("the pod is taken up again%s", pod->again ? " by this program" : "");
        return 0;
    }
    (void)snprintf(text, sizeof(text), "SIG%s at address 0x%llx, crash %u", name ? name : "?",
                   (unsigned long long)ledger->crash_address, ledger->crash_total);
    log_error("podmon has crashed: %s; the pod is taken up again", text);
    ledger->crash_signal = 0;
    return record_set_text(&record->podmon_crash, text);
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

static int take_kept(PodKept *kept, pid_t pid)
{
    for (size_t i = 0; i < kept->count; i++)
        if (kept->pids[i] == pid && kept->pidfds[i] >= 0)
            return take_fd(&kept->pidfds[i]);
    return -ESRCH;
}

/* Its process goes on under our eyes, or has ended unseen. */
static void adopt_running(Container *container, PodKept *kept, bool same_boot)
{
    const Podmon__ProcessIdentity *process = container->record->process;
    Failure why = {0};
    int pidfd = same_boot && process ? process_open(process->pid, process->start_time) : -ESRCH;

    if (pidfd < 0 && same_boot && process)
        pidfd = take_kept(kept, process->pid);
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

/* Of a container that does not run, or not yet: a podmon died between clone and record. A start
 * that comes now must not meet what is being killed. */
static void clear_group(Pod *pod, const char *path)
{
    int r = cgroup_remove(path);

    for (int tries = 0; r == -EBUSY && tries < CLEAR_TRIES; tries++) {
        (void)cgroup_kill(path);
        (void)poll(NULL, 0, CLEAR_MS);
        pod_reap_orphans(pod);
        r = cgroup_remove(path);
    }
    if (r < 0)
        log_warning("cannot remove the cgroup %s: error %d", path, -r);
}

static int adopt_containers(Pod *pod, PodKept *kept, bool same_boot, Failure *why)
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
            adopt_running(container, kept, same_boot);
        else if (same_boot)
            clear_group(pod, container->record->cgroup);
    }
    return 0;
}

/* ---- what an earlier podmon had under way */

static bool is_kept(void *data, pid_t pid)
{
    const Pod *pod = data;
    const Podmon__PodRecord *record = pod->record;

    if ((record->init && record->init->pid == pid) || handover_has_process(pod->handover, pid))
        return true;
    for (size_t i = 0; i < record->n_containers; i++) {
        const Podmon__ProcessIdentity *keeper = record->containers[i]->terminal_keeper;
        if (keeper && keeper->pid == pid)
            return true;
    }
    return false;
}

/* Commands whose callers have lost their connections. They end like those whose time is over. */
static void end_execs(const Pod *pod)
{
    for (size_t i = 0; i < LEDGER_EXECS_MAX; i++) {
        uint32_t number = pod->ledger->execs[i];

        if (handover_has_command(pod->handover, number))
            continue;
        for (size_t j = 0; number > 0 && j < pod->record->n_containers; j++) {
            AUTO_FREE char *path = NULL;
            if (asprintf(&path, "%s/exec-%u", pod->record->containers[j]->cgroup, number) < 0)
                path = NULL; /* It goes with its container. */
            else if (cgroup_kill(path) < 0)
                log_warning("cannot kill what is left in the cgroup %s", path);
        }
        pod->ledger->execs[i] = 0;
    }
}

/* Directories of containers that are not in the record: they were being made or deleted. */
static void sweep(const Pod *pod, int base_fd)
{
    int fd = openat(base_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *item;

    if (!stream) {
        fd_close(&fd);
        return;
    }
    while ((item = readdir(stream))) {
        if (!id_is_valid(item->d_name) || container_find(pod, item->d_name))
            continue;
        if (file_delete_tree_at(base_fd, item->d_name) < 0)
            log_warning("what is left of container %s cannot be deleted", item->d_name);
    }
    (void)closedir(stream);
}

static void clear_up(Pod *pod)
{
    int r;

    if (pod->again && (r = process_end_helpers(is_kept, pod)) < 0)
        log_warning("jobs of before the crash cannot be ended: error %d", -r);
    end_execs(pod);
    /* Groups of commands are numbered on from where nobody has been. */
    pod->exec_count = (unsigned)(clock_monotonic() / CLOCK_MILLISECOND);
}

/* The scope goes on while a process of the pod lives, and podmon belongs into it. */
static void rejoin_scope(const Pod *pod)
{
    Failure why = {0};

    if (pod_uses_scope(pod) && cgroup_is_empty(pod->record->cgroup) == 0 &&
        setup_join_supervisor(pod, &why) < 0)
        log_warning("%s", why.text);
}

static int adopt_all(Pod *pod, PodKept *kept, bool same_boot, Failure *why)
{
    int r = 0;

    pod->network_added = pod->spec->network != NULL;
    if (same_boot) {
        r = sandbox_restore(pod->spec, pod->run_fd, pod->record->init, &pod->sandbox, why);
        pod->sandbox_made = true;
        rejoin_scope(pod);
    }
    return r < 0 ? r : adopt_containers(pod, kept, same_boot, why);
}

static int carry_out(Pod *pod, RestorePlan plan, PodKept *kept, bool same_boot, Failure *why)
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
        r = adopt_all(pod, kept, same_boot, why);
        break;
    case RESTORE_STOP:
        pod->state = POD_STATE_STOPPING;
        r = adopt_all(pod, kept, same_boot, why);
        break;
    case RESTORE_NOTHING:
        pod->state = POD_STATE_STOPPED;
        r = adopt_containers(pod, kept, same_boot, why);
        break;
    case RESTORE_REMOVE:
        pod->state = POD_STATE_REMOVING;
        break;
    }
    if (r < 0)
        return r;
    streams_resume(pod);
    sweep(pod, pod->run_fd);
    sweep(pod, pod->root_fd);
    pod_publish_surely(pod);
    pod_reap_orphans(pod);
    if (plan == RESTORE_ADOPT) {
        network_check_begin(pod);
        initwatch_begin(pod);
    }
    if (plan == RESTORE_STOP || plan == RESTORE_REMOVE)
        teardown_resume(pod);
    return 0;
}

int restore_pod(Pod *pod, PodKept *kept, Failure *why)
{
    char boot_id[LAYOUT_BOOT_ID_SIZE];
    bool same_boot;
    int r = layout_read_boot_id(boot_id);

    (void)FAULTPOINT("podmon-begun");
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot read the boot id");
    r = load_record(pod, why);
    if (r == -ENOENT) {
        r = teardown_finish_removal(pod, why);
        event_loop_exit(pod->loop, EXIT_SUCCESS);
    }
    if (r < 0 || !pod->record)
        return r;
    same_boot = strcmp(pod->record->boot_id, boot_id) == 0;
    if (tell_start(pod, same_boot) < 0)
        log_warning("no memory to record a crash");
    r = sign_record(pod, boot_id, why);
    if (r < 0)
        return r;
    clear_up(pod);
    return carry_out(pod, restore_plan(pod->record, same_boot), kept, same_boot, why);
}
