/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "dispatcher/cri/forward.h"
#include "dispatcher/cri/handlers.h"
#include "dispatcher/cri/lookup.h"
#include "dispatcher/stream/endpoint.h"
#include "dispatcher/stream/route.h"
#include "runtime_v1.pb-c.h"

enum { URL_MAX = ENDPOINT_URL_MAX + 32 + STREAM_TOKEN_MAX };

static int check_streams(bool tty, bool in, bool out, bool err, Failure *why)
{
    if (tty && err)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "tty and stderr cannot both be true");
    if (!in && !out && !err)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "one of stdin, stdout, or stderr must be set");
    return 0;
}

static int find_running(CriCall *call, const char *id, const Pod **ret_pod, char **ret_id,
                        Failure *why)
{
    const Podmon__ContainerRecord *container = NULL;
    int r = lookup_container(call, id, ret_pod, &container, why);

    if (r < 0)
        return r;
    *ret_id = container->spec->id;
    if (container->phase != PODMON__CONTAINER_PHASE__CONTAINER_RUNNING)
        return failure_say(why, FAILURE_FAILED_PRECONDITION, "container \"%.80s\" does not run",
                           id);
    return 0;
}

/* The three answers are all one URL; its beginning is there already. */
static void fill_url(ProtobufCMessage *answer, const Podmon__Reply *reply)
{
    Runtime__V1__ExecResponse *response = (void *)answer;
    size_t length = strlen(response->url);

    (void)snprintf(response->url + length, URL_MAX - length, "%s", reply->token);
}

_Static_assert(offsetof(Runtime__V1__ExecResponse, url) ==
                       offsetof(Runtime__V1__AttachResponse, url) &&
                   offsetof(Runtime__V1__ExecResponse, url) ==
                       offsetof(Runtime__V1__PortForwardResponse, url),
               "fill_url takes one for another");

static void prepare(CriCall *call, const Pod *pod, Podmon__PrepareStream *stream,
                    const ProtobufCMessageDescriptor *descriptor)
{
    Podmon__Request down = PODMON__REQUEST__INIT;
    Runtime__V1__ExecResponse *response = (void *)forward_empty(call, descriptor);

    response->url = arena_alloc(cri_call_arena(call), URL_MAX);
    (void)snprintf(response->url, URL_MAX, "%s%s/",
                   stream_endpoint_url(cri_call_node(call)->endpoint),
                   stream_route_name(stream->operation));
    down.call_case = PODMON__REQUEST__CALL_PREPARE_STREAM;
    down.prepare_stream = stream;
    forward_call(call, pod->record->spec->id, &down,
                 &(Forward){.answer = &response->base, .fill = fill_url});
}

void cri_exec(CriCall *call)
{
    const Runtime__V1__ExecRequest *request = (const void *)cri_call_request(call);
    Podmon__PrepareStream stream = PODMON__PREPARE_STREAM__INIT;
    const Pod *pod = NULL;
    Failure why;
    int r = 0;

    if (!*request->container_id)
        r = failure_say(&why, FAILURE_INVALID_ARGUMENT, "missing required container_id");
    else if (request->n_cmd == 0 || !*request->cmd[0])
        r = failure_say(&why, FAILURE_INVALID_ARGUMENT, "cmd: must not be empty");
    if (r >= 0)
        r = check_streams(request->tty, request->stdin, request->stdout, request->stderr, &why);
    if (r >= 0)
        r = find_running(call, request->container_id, &pod, &stream.id, &why);
    if (r < 0) {
        cri_call_fail(call, &why);
        return;
    }
    stream.operation = PODMON__STREAM_OPERATION__STREAM_EXEC;
    stream.n_argv = request->n_cmd;
    stream.argv = request->cmd;
    stream.tty = request->tty;
    stream.stdin = request->stdin;
    stream.stdout = request->stdout;
    stream.stderr = request->stderr;
    prepare(call, pod, &stream, &runtime__v1__exec_response__descriptor);
}

void cri_attach(CriCall *call)
{
    const Runtime__V1__AttachRequest *request = (const void *)cri_call_request(call);
    Podmon__PrepareStream stream = PODMON__PREPARE_STREAM__INIT;
    const Pod *pod = NULL;
    Failure why;
    int r = 0;

    if (!*request->container_id)
        r = failure_say(&why, FAILURE_INVALID_ARGUMENT, "missing required container_id");
    if (r >= 0)
        r = check_streams(request->tty, request->stdin, request->stdout, request->stderr, &why);
    if (r >= 0)
        r = find_running(call, request->container_id, &pod, &stream.id, &why);
    if (r < 0) {
        cri_call_fail(call, &why);
        return;
    }
    stream.operation = PODMON__STREAM_OPERATION__STREAM_ATTACH;
    stream.tty = request->tty;
    stream.stdin = request->stdin;
    stream.stdout = request->stdout;
    stream.stderr = request->stderr;
    prepare(call, pod, &stream, &runtime__v1__attach_response__descriptor);
}

static int copy_ports(CriCall *call, const Runtime__V1__PortForwardRequest *request,
                      Podmon__PrepareStream *stream, Failure *why)
{
    stream->n_ports = request->n_port;
    stream->ports = arena_alloc(cri_call_arena(call), (request->n_port + 1) * sizeof(uint32_t));
    for (size_t i = 0; i < request->n_port; i++) {
        if (request->port[i] < 1 || request->port[i] > UINT16_MAX)
            return failure_say(why, FAILURE_INVALID_ARGUMENT, "port: %d is not from 1 to 65535",
                               request->port[i]);
        stream->ports[i] = (uint32_t)request->port[i];
    }
    return 0;
}

void cri_port_forward(CriCall *call)
{
    enum { PORTS_MAX = 64 }; /* as many as a WebSocket's channels have room for */
    const Runtime__V1__PortForwardRequest *request = (const void *)cri_call_request(call);
    Podmon__PrepareStream stream = PODMON__PREPARE_STREAM__INIT;
    const Pod *pod = NULL;
    Failure why;
    int r = 0;

    if (!*request->pod_sandbox_id)
        r = failure_say(&why, FAILURE_INVALID_ARGUMENT, "missing required pod_sandbox_id");
    else if (request->n_port > PORTS_MAX)
        r = failure_say(&why, FAILURE_INVALID_ARGUMENT, "port: %zu are more than %d",
                        request->n_port, PORTS_MAX);
    if (r >= 0)
        r = copy_ports(call, request, &stream, &why);
    if (r >= 0)
        r = lookup_pod(call, request->pod_sandbox_id, &pod, &why);
    if (r >= 0 && pod->record->phase != PODMON__POD_PHASE__POD_READY)
        r = failure_say(&why, FAILURE_FAILED_PRECONDITION, "pod sandbox \"%.80s\" is not ready",
                        request->pod_sandbox_id);
    if (r < 0) {
        cri_call_fail(call, &why);
        return;
    }
    stream.operation = PODMON__STREAM_OPERATION__STREAM_PORT_FORWARD;
    prepare(call, pod, &stream, &runtime__v1__port_forward_response__descriptor);
}
