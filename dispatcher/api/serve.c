/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/api/serve.h"

#include "dispatcher/api/call.h"
#include "dispatcher/api/convert.h"
#include "dispatcher/api/route.h"
#include "dispatcher/api/wire.h"
#include "dispatcher/config.h"
#include "shared/log.h"

/* Lives in its own arena. */
struct CriCall {
    Arena *arena;
    Node *node;
    GrpcCall *grpc; /* NULL once the client is gone */
    Route route;
    ProtobufCMessage *request;
    void (*gone)(void *data);
    void *gone_data;
};

static ConvertSettings settings_of(const Node *node)
{
    return (ConvertSettings){
        .run_dir = node->config->run_dir,
        .seccomp_profile_dir = node->config->seccomp_profile_dir,
    };
}

static void on_gone(void *data)
{
    CriCall *call = data;

    call->grpc = NULL;
    if (call->gone)
        call->gone(call->gone_data);
}

static CriCall *call_new(Node *node, GrpcCall *grpc)
{
    Arena *arena = arena_new();
    CriCall *call = arena_alloc(arena, sizeof(*call));

    *call = (CriCall){.arena = arena, .node = node, .grpc = grpc};
    grpc_call_on_gone(grpc, on_gone, call);
    return call;
}

static void call_finish(CriCall *call, FailureCode code, const char *text)
{
    if (call->grpc)
        grpc_call_finish(call->grpc, code, text);
    (void)arena_free(call->arena);
}

static int call_decode(CriCall *call, const uint8_t *bytes, size_t size, Failure *why)
{
    const Route *route = &call->route;
    ConvertSettings settings = settings_of(call->node);
    ProtobufCMessage *message;
    int r;

    r = wire_check(route->request, bytes, size, why);
    if (r < 0)
        return r;
    message = protobuf_c_message_unpack(route->request, arena_allocator(call->arena), size, bytes);
    if (!message)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "malformed %s", route->request->name);
    if (route->seed)
        return convert_request(&settings, call->arena, message, route->method->request,
                               &call->request, why);
    call->request = message;
    return 0;
}

void api_serve(void *data, GrpcCall *grpc, const char *path, const uint8_t *message, size_t size)
{
    CriCall *call = call_new(data, grpc);
    Failure why;
    int r;

    r = route_find(path, &call->route, &why);
    if (r >= 0)
        r = call_decode(call, message, size, &why);
    if (r < 0) {
        cri_call_fail(call, &why);
        return;
    }
    if (call->route.method->streaming)
        grpc_call_open(grpc);
    call->route.method->handle(call);
}

const ProtobufCMessage *cri_call_request(const CriCall *call)
{
    return call->request;
}

Arena *cri_call_arena(CriCall *call)
{
    return call->arena;
}

Node *cri_call_node(CriCall *call)
{
    return call->node;
}

/* Packs one message for the wire; nothing to do for a client that is gone. */
static int call_send(CriCall *call, const ProtobufCMessage *response, Failure *why)
{
    ProtobufCMessage *converted;
    size_t size;

    if (!call->grpc)
        return 0;
    if (call->route.seed) {
        ConvertSettings settings = settings_of(call->node);
        int r = convert_response(&settings, call->arena, response, call->route.response, &converted,
                                 why);

        if (r < 0)
            return r;
        response = converted;
    }
    size = protobuf_c_message_get_packed_size(response);
    (void)protobuf_c_message_pack(response, grpc_call_reserve(call->grpc, size));
    return 0;
}

void cri_call_reply(CriCall *call, const ProtobufCMessage *response)
{
    Failure why;

    if (call_send(call, response, &why) < 0)
        cri_call_fail(call, &why);
    else
        call_finish(call, FAILURE_NONE, NULL);
}

void cri_call_fail(CriCall *call, const Failure *why)
{
    log_debug("%s: %s (gRPC status %d)",
              call->route.method ? call->route.method->name : "unknown method", why->text,
              (int)why->code);
    call_finish(call, why->code, why->text);
}

void cri_call_send(CriCall *call, const ProtobufCMessage *response)
{
    Failure why;

    if (call_send(call, response, &why) < 0)
        log_error("%s: a message was not sent: %s", call->route.method->name, why.text);
}

void cri_call_end(CriCall *call)
{
    call_finish(call, FAILURE_NONE, NULL);
}

size_t cri_call_queued(const CriCall *call)
{
    return call->grpc ? grpc_call_queued(call->grpc) : 0;
}

bool cri_call_is_gone(const CriCall *call)
{
    return !call->grpc;
}

void cri_call_on_gone(CriCall *call, void (*function)(void *data), void *data)
{
    call->gone = function;
    call->gone_data = data;
}
