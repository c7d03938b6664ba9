/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/requests.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "podmon/container.h"
#include "podmon/crash.h"
#include "podmon/exec.h"
#include "podmon/handover.h"
#include "podmon/start.h"
#include "podmon/stream/streams.h"
#include "podmon/stream/token.h"
#include "podmon/teardown.h"
#include "shared/cleanup.h"
#include "shared/log.h"
#include "shared/message.h"
#include "shared/path.h"

/* Refuses the call and says why, unless this event is allowed in the container's state now. */
static bool container_allows(const Container *container, ContainerEvent event, const char *what,
                             Call *call)
{
    const LifecycleStep *step = lifecycle_container(container->state, event);
    Failure why;

    if (step->verdict != LIFECYCLE_REFUSE)
        return true;
    (void)failure_say(&why, FAILURE_FAILED_PRECONDITION, "container %s is %s: it cannot be %s",
                      container->record->spec->id, lifecycle_container_name(container->state),
                      what);
    call_answer_failure(call, &why);
    return false;
}

static void refuse_unknown(Call *call, const char *id)
{
    Failure why;

    (void)failure_say(&why, FAILURE_NOT_FOUND, "there is no container \"%s\"", id);
    call_answer_failure(call, &why);
}

/* ---- the pod's */

static void run_pod(Pod *pod, Call *call, const Podmon__Request *request)
{
    (void)request;
    if (pod->state == POD_STATE_STARTING)
        call_list_add(&pod->run_calls, call);
    else
        call_answer_done(call);
}

static void stop_pod(Pod *pod, Call *call, const Podmon__Request *request)
{
    (void)request;
    teardown_stop(pod, call);
}

static void remove_pod(Pod *pod, Call *call, const Podmon__Request *request)
{
    (void)request;
    teardown_remove(pod, call);
}

/* ---- its containers' */

static void create_container(Pod *pod, Call *call, const Podmon__Request *request)
{
    const Podmon__ContainerSpec *spec = request->create_container->spec;
    Podmon__Reply reply = PODMON__REPLY__INIT;
    Container *container = NULL;
    Failure why = {0};

    if (!spec) {
        (void)failure_say(&why, FAILURE_INVALID_ARGUMENT, "the container has no plan");
    } else {
        container = container_find_name(pod, spec->name, spec->attempt);
        if (!container && container_create(pod, spec, &container, &why) < 0)
            container = NULL;
    }
    if (!container) {
        call_answer_failure(call, &why);
        return;
    }
    reply.container_id = container->record->spec->id;
    call_answer(call, &reply);
}

static void handle_start(Pod *pod, Call *call, const Podmon__Request *request)
{
    const char *id = request->start_container->id;
    Container *container = container_find(pod, id);

    if (!container)
        refuse_unknown(call, id);
    else if (container->state == CONTAINER_STATE_STARTING)
        call_list_add(&container->start_calls, call);
    else if (container_allows(container, CONTAINER_EVENT_START, "started", call))
        start_container(container, call);
}

static void handle_stop(Pod *pod, Call *call, const Podmon__Request *request)
{
    Container *container = container_find(pod, request->stop_container->id);

    if (container)
        container_stop(container, request->stop_container->grace_ms, call);
    else
        call_answer_done(call);
}

static void handle_remove(Pod *pod, Call *call, const Podmon__Request *request)
{
    Container *container = container_find(pod, request->remove_container->id);

    if (container)
        container_remove(container, call);
    else
        call_answer_done(call);
}

static void reopen_log(Pod *pod, Call *call, const Podmon__Request *request)
{
    const char *id = request->reopen_log->id;
    Container *container = container_find(pod, id);
    Failure why = {0};
    int r = 0;

    if (!container) {
        refuse_unknown(call, id);
        return;
    }
    if (!container_allows(container, CONTAINER_EVENT_REOPEN_LOG, "given a new log file", call))
        return;
    if (*container->record->log_path)
        r = stdio_reopen_log(container->stdio, pod->spec->log_directory,
                             container->record->spec->log_path, &why);
    if (r < 0)
        call_answer_failure(call, &why);
    else
        call_answer_done(call);
}

static void exec_sync(Pod *pod, Call *call, const Podmon__Request *request)
{
    const char *id = request->exec_sync->id;
    Container *container = container_find(pod, id);

    if (!container)
        refuse_unknown(call, id);
    else if (container_allows(container, CONTAINER_EVENT_EXEC, "executed in", call))
        exec_start(container, request->exec_sync, call);
}

static void update_container(Pod *pod, Call *call, const Podmon__Request *request)
{
    const Podmon__UpdateContainer *update = request->update_container;
    Container *container = container_find(pod, update->id);
    Failure why = {0};

    if (!container) {
        refuse_unknown(call, update->id);
        return;
    }
    if (!container_allows(container, CONTAINER_EVENT_UPDATE, "given other limits", call))
        return;
    if (update->resources && container_update(container, update->resources, &why) < 0)
        call_answer_failure(call, &why);
    else
        call_answer_done(call);
}

/* ---- streams */

static void prepare_stream(Pod *pod, Call *call, const Podmon__Request *request)
{
    const Podmon__PrepareStream *stream = request->prepare_stream;
    bool is_ports = stream->operation == PODMON__STREAM_OPERATION__STREAM_PORT_FORWARD;
    bool is_attach = stream->operation == PODMON__STREAM_OPERATION__STREAM_ATTACH;
    const Container *container = container_find(pod, stream->id);
    Podmon__Reply reply = PODMON__REPLY__INIT;
    char token[TOKEN_SIZE];
    Failure why = {0};

    if (!is_ports && !container) {
        refuse_unknown(call, stream->id);
        return;
    }
    if (!is_ports && !container_allows(container, CONTAINER_EVENT_EXEC,
                                       is_attach ? "attached to" : "executed in", call))
        return;
    reply.token = token;
    if (streams_prepare(pod, stream, token, &why) < 0)
        call_answer_failure(call, &why);
    else
        call_answer(call, &reply);
}

static void hand_stream(Pod *pod, Call *call, const Podmon__Request *request)
{
    AUTO_CLOSE int fd = call_take_fd(call);
    Failure why = {0};
    int r;

    if (fd < 0)
        r = failure_say(&why, FAILURE_INVALID_ARGUMENT, "no connection came with the stream");
    else
        r = streams_take(pod, request->hand_stream, fd, &why);
    if (r < 0)
        call_answer_failure(call, &why);
    else
        call_answer_done(call);
}

/* Takes the place of what was there; `from` NULL: nothing to take. */
static int replace_resources(Podmon__Resources **field, const Podmon__Resources *from)
{
    ProtobufCMessage *copy;

    if (!from)
        return 0;
    copy = message_copy(&from->base);
    if (!copy)
        return -ENOMEM;
    if (*field)
        podmon__resources__free_unpacked(*field, NULL);
    *field = (Podmon__Resources *)copy;
    return 0;
}

static void update_pod(Pod *pod, Call *call, const Podmon__Request *request)
{
    Podmon__PodSpec *spec = pod->record->spec;
    Failure why = {0};
    int r = replace_resources(&spec->overhead, request->update_pod->overhead);

    if (r >= 0)
        r = replace_resources(&spec->resources, request->update_pod->resources);
    if (r < 0)
        (void)failure_set(&why, FAILURE_INTERNAL, -r, "no memory for limits");
    else
        r = pod_publish(pod, &why);
    if (r < 0)
        call_answer_failure(call, &why);
    else
        call_answer_done(call);
}

/* ---- another program in this one's place */

/* What a successor could only end: it is worth waiting for. */
static const char *pod_is_busy(const Pod *pod)
{
    if (pod->state != POD_STATE_READY)
        return "is not ready";
    if (pod->exec_running > streams_count_commands(pod->streams) || pod->scope_worker)
        return "has commands under way";
    if (pod->publish_timer)
        return "has a state that is not written yet";
    for (const Container *container = pod->containers; container; container = container->next)
        if (container->state == CONTAINER_STATE_STARTING)
            return "is starting a container";
    return NULL;
}

/* Returns only on failure, and then all is as before. */
static int become(const Pod *pod, const char *program, Failure *why)
{
    Podmon__Handover *handover = NULL;
    int r = streams_describe(pod, &handover);
    int fd = r < 0 ? r : handover_give(handover);

    if (fd < 0) {
        r = failure_set(why, FAILURE_INTERNAL, -fd, "cannot leave the open streams to %s", program);
    } else {
        r = crash_become(program, why);
        handover_take_back(handover, fd);
    }
    podmon__handover__free_unpacked(handover, NULL);
    return r;
}

static void upgrade(Pod *pod, Call *call, const Podmon__Request *request)
{
    AUTO_FREE char *program = strdup(request->upgrade->program);
    const char *busy = pod_is_busy(pod);
    Failure why = {0};

    if (!program)
        (void)failure_set(&why, FAILURE_INTERNAL, ENOMEM, "no memory for a path");
    else if (!path_is_clean(program) || access(program, X_OK) < 0)
        (void)failure_say(&why, FAILURE_INVALID_ARGUMENT,
                          "program \"%s\" is not an absolute path of an executable file", program);
    else if (!streams_are_steady(pod->streams))
        (void)failure_say(&why, FAILURE_UNAVAILABLE,
                          "pod %s has a stream whose command is beginning or ending", pod->id);
    else if (busy)
        (void)failure_say(&why, FAILURE_FAILED_PRECONDITION, "pod %s %s", pod->id, busy);
    if (why.code != FAILURE_NONE) {
        call_answer_failure(call, &why);
        return;
    }
    call_answer_done(call);
    pod_copy(pod);
    log_notice("going on as %s", program);
    if (become(pod, program, &why) < 0)
        log_error("%s; the pod stays with this one", why.text);
}

typedef struct RequestKind {
    const char *name;
    PodEvent event; /* whose verdict on the pod comes first */
    void (*handle)(Pod *pod, Call *call, const Podmon__Request *request);
} RequestKind;

static const RequestKind KINDS[] = {
    [PODMON__REQUEST__CALL_RUN_POD] = {"RunPod", POD_EVENT_RUN, run_pod},
    [PODMON__REQUEST__CALL_STOP_POD] = {"StopPod", POD_EVENT_STOP, stop_pod},
    [PODMON__REQUEST__CALL_REMOVE_POD] = {"RemovePod", POD_EVENT_REMOVE, remove_pod},
    [PODMON__REQUEST__CALL_CREATE_CONTAINER] = {"CreateContainer", POD_EVENT_CREATE,
                                                create_container},
    [PODMON__REQUEST__CALL_START_CONTAINER] = {"StartContainer", POD_EVENT_USE, handle_start},
    [PODMON__REQUEST__CALL_STOP_CONTAINER] = {"StopContainer", POD_EVENT_END, handle_stop},
    [PODMON__REQUEST__CALL_REMOVE_CONTAINER] = {"RemoveContainer", POD_EVENT_END, handle_remove},
    [PODMON__REQUEST__CALL_REOPEN_LOG] = {"ReopenLog", POD_EVENT_USE, reopen_log},
    [PODMON__REQUEST__CALL_EXEC_SYNC] = {"ExecSync", POD_EVENT_USE, exec_sync},
    [PODMON__REQUEST__CALL_UPDATE_CONTAINER] = {"UpdateContainer", POD_EVENT_USE, update_container},
    [PODMON__REQUEST__CALL_UPDATE_POD] = {"UpdatePod", POD_EVENT_USE, update_pod},
    [PODMON__REQUEST__CALL_UPGRADE] = {"Upgrade", POD_EVENT_USE, upgrade},
    [PODMON__REQUEST__CALL_PREPARE_STREAM] = {"PrepareStream", POD_EVENT_USE, prepare_stream},
    [PODMON__REQUEST__CALL_HAND_STREAM] = {"HandStream", POD_EVENT_USE, hand_stream},
};

static void refuse(Pod *pod, Call *call, const char *name)
{
    Failure why;

    if (pod->state == POD_STATE_FAILED) {
        pod->failure_told = true;
        call_answer_failure(call, &pod->failure);
        return;
    }
    (void)failure_say(&why, FAILURE_FAILED_PRECONDITION, "%s: pod %s is %s", name, pod->id,
                      lifecycle_pod_name(pod->state));
    call_answer_failure(call, &why);
}

void requests_handle(void *data, Call *call, const Podmon__Request *request)
{
    Pod *pod = data;
    size_t kind = (size_t)request->call_case;
    const LifecycleStep *step;
    Failure why;

    if (request->version != REQUESTS_VERSION || kind >= sizeof(KINDS) / sizeof(*KINDS) ||
        !KINDS[kind].handle) {
        (void)failure_say(&why, FAILURE_UNIMPLEMENTED,
                          "this podmon (%s) does not know call %zu of protocol version %u",
                          PODMON_VERSION, kind, request->version);
        call_answer_failure(call, &why);
        return;
    }
    step = lifecycle_pod(pod->state, KINDS[kind].event);
    if (step->verdict == LIFECYCLE_REFUSE)
        refuse(pod, call, KINDS[kind].name);
    else if (step->verdict == LIFECYCLE_DONE)
        call_answer_done(call);
    else
        KINDS[kind].handle(pod, call, request);
}
