/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/grpc/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatcher/grpc/frame.h"
#include "dispatcher/grpc/trailers.h"

/* How far the response has come. */
typedef enum CallPhase {
    CALL_WAITING, /* nothing sent, not even headers */
    CALL_SENDING, /* h2o holds a message (`sending`), or the headers, and will call proceed */
    CALL_RESTING, /* h2o has taken all it was given */
    CALL_ENDED,   /* trailers are written */
} CallPhase;

typedef struct CallMessage {
    struct CallMessage *next;
    size_t size;
    uint8_t bytes[]; /* with the prefix */
} CallMessage;

/* It has two holders: the stream (h2o's, `request`) and the handler (`held`), and is freed when
 * neither is left. So the handler may find out late that the stream has gone. */
struct GrpcCall {
    h2o_generator_t generator; /* first: h2o hands it back in proceed */
    h2o_req_t *request;        /* NULL once the stream is gone */
    EventLoop *events;
    CallClosed closed;
    void *closed_data;
    CallList *list;
    GrpcCall *previous, *next;

    CallPhase phase;
    CallMessage *first, **tail; /* not yet given to h2o */
    size_t queued;
    CallMessage *sending;
    bool finishing; /* trailers follow the last message */
    bool open;
    FailureCode code;
    char *text; /* percent-encoded */
    size_t text_size;

    bool held;
    void (*gone)(void *data);
    void *gone_data;
    EventSource *deadline, *pump, *notice;
};

static void list_add(CallList *list, GrpcCall *call)
{
    call->list = list;
    call->next = list->first;
    if (call->next)
        call->next->previous = call;
    list->first = call;
}

static void list_remove(GrpcCall *call)
{
    if (call->next)
        call->next->previous = call->previous;
    if (call->previous)
        call->previous->next = call->next;
    else
        call->list->first = call->next;
}

static void drop_queue(GrpcCall *call)
{
    while (call->first) {
        CallMessage *message = call->first;

        call->first = message->next;
        free(message);
    }
    call->tail = &call->first;
    call->queued = 0;
}

static void call_unref(GrpcCall *call)
{
    if (call->request || call->held)
        return;
    (void)event_free(call->deadline);
    (void)event_free(call->pump);
    (void)event_free(call->notice);
    drop_queue(call);
    free(call->sending);
    free(call->text);
    free(call);
}

/* The handler is told that nobody waits any more, and has no part in the call from then on. */
static void call_tell_gone(GrpcCall *call)
{
    if (!call->held || !call->gone)
        return;
    call->held = false;
    call->gone(call->gone_data);
}

static void on_notice(void *data, uint32_t events)
{
    GrpcCall *call = data;

    (void)events;
    call->notice = NULL;
    call_tell_gone(call);
    call_unref(call);
}

/* Deferring can only fail for want of memory, which is the end here as everywhere in h2o. */
static EventSource *defer(GrpcCall *call, EventFunction function)
{
    EventSource *source = NULL;

    if (event_defer(call->events, function, call, &source) < 0)
        h2o_fatal("no memory");
    return source;
}

/* The request's pool is cleared: the stream is closed, whatever the reason. h2o may be tearing
 * down the connection, so that the handler is told later. */
static void on_dispose(void *hook)
{
    GrpcCall *call = *(GrpcCall **)hook;

    call->request = NULL;
    list_remove(call);
    call->deadline = event_free(call->deadline);
    call->closed(call->closed_data, call->phase != CALL_ENDED);
    if (call->held && call->gone && !call->notice)
        call->notice = defer(call, on_notice);
    call_unref(call);
}

static void prepare_response(GrpcCall *call)
{
    h2o_req_t *request = call->request;
    h2o_res_t *response = &request->res;

    response->status = 200;
    response->reason = "OK";
    response->content_length = SIZE_MAX;
    h2o_add_header(&request->pool, &response->headers, H2O_TOKEN_CONTENT_TYPE, NULL,
                   H2O_STRLIT("application/grpc"));
    h2o_add_header_by_str(&request->pool, &response->headers, H2O_STRLIT("grpc-accept-encoding"), 0,
                          NULL, H2O_STRLIT("identity"));
}

static void start_response(GrpcCall *call)
{
    if (call->phase != CALL_WAITING)
        return;
    prepare_response(call);
    h2o_start_response(call->request, &call->generator);
}

static void send_first(GrpcCall *call)
{
    CallMessage *message = call->first;
    h2o_iovec_t piece = h2o_iovec_init(message->bytes, message->size);

    start_response(call);
    call->first = message->next;
    if (!call->first)
        call->tail = &call->first;
    call->queued -= message->size;
    call->sending = message;
    call->phase = CALL_SENDING;
    h2o_send(call->request, &piece, 1, H2O_SEND_STATE_IN_PROGRESS);
}

/* A call that ends without a message has only headers, the trailers among them. */
static void end_without_message(GrpcCall *call)
{
    h2o_req_t *request = call->request;
    h2o_headers_t *headers = &request->res.headers;
    char status[12];
    int length = snprintf(status, sizeof(status), "%d", (int)call->code);
    h2o_iovec_t value = h2o_strdup(&request->pool, status, (size_t)length);

    prepare_response(call);
    h2o_add_header_by_str(&request->pool, headers, H2O_STRLIT("grpc-status"), 0, NULL, value.base,
                          value.len);
    if (call->text_size > 0)
        h2o_add_header_by_str(&request->pool, headers, H2O_STRLIT("grpc-message"), 0, NULL,
                              call->text, call->text_size);
    call->phase = CALL_ENDED;
    h2o_start_response(request, &call->generator);
    trailers_write_only(request);
}

static void call_pump(GrpcCall *call)
{
    if (!call->request || call->phase == CALL_ENDED)
        return;
    if (call->phase != CALL_SENDING && call->first)
        send_first(call);
    if (!call->finishing)
        return;
    if (call->phase == CALL_WAITING) {
        end_without_message(call);
    } else if (call->phase == CALL_RESTING || (!call->first && trailers_flush(call->request))) {
        /* The last message and the trailers leave in one write where the windows allow it. */
        call->phase = CALL_ENDED;
        trailers_write(call->request, call->code, call->text, call->text_size);
    }
}

static void on_pump(void *data, uint32_t events)
{
    GrpcCall *call = data;

    (void)events;
    call->pump = NULL;
    call_pump(call);
}

static void on_proceed(h2o_generator_t *generator, h2o_req_t *request)
{
    GrpcCall *call = (GrpcCall *)generator;

    (void)request;
    free(call->sending);
    call->sending = NULL;
    call->phase = CALL_RESTING;
    call_pump(call);
}

static void call_close(GrpcCall *call, FailureCode code, const char *text)
{
    call->finishing = true;
    call->code = code;
    call->text_size = 0;
    if (text && *text) {
        if (!call->text)
            call->text = h2o_mem_alloc(FRAME_TEXT_SIZE);
        call->text_size = frame_encode_text(text, call->text);
    }
    call_pump(call);
}

/* Ends the call over the handler's head; what was not yet sent is dropped. */
static void call_break(GrpcCall *call, FailureCode code, const char *text)
{
    call_tell_gone(call);
    drop_queue(call);
    if (call->phase == CALL_ENDED || trailers_abort(call->request))
        return;
    call_close(call, code, text);
}

static void on_deadline(void *data, uint32_t events)
{
    (void)events;
    call_break(data, FAILURE_DEADLINE_EXCEEDED, "the deadline has passed");
}

GrpcCall *call_begin(h2o_req_t *request, EventLoop *events, CallList *list, uint64_t deadline,
                     CallClosed closed, void *data)
{
    GrpcCall *call = h2o_mem_alloc(sizeof(*call));
    GrpcCall **hook = h2o_mem_alloc_shared(&request->pool, sizeof(GrpcCall *), on_dispose);

    *call = (GrpcCall){
        .generator = {.proceed = on_proceed},
        .request = request,
        .events = events,
        .closed = closed,
        .closed_data = data,
        .held = true,
    };
    call->tail = &call->first;
    *hook = call;
    list_add(list, call);
    if (deadline != UINT64_MAX &&
        event_add_timer(events, deadline, on_deadline, call, &call->deadline) < 0)
        h2o_fatal("no memory");
    return call;
}

void call_end_open(CallList *list)
{
    GrpcCall *next;

    for (GrpcCall *call = list->first; call; call = next) {
        next = call->next;
        if (call->open && !call->finishing)
            call_break(call, FAILURE_UNAVAILABLE, "the server is stopping");
    }
}

uint8_t *grpc_call_reserve(GrpcCall *call, size_t size)
{
    CallMessage *message = h2o_mem_alloc(sizeof(*message) + FRAME_PREFIX_SIZE + size);

    message->next = NULL;
    message->size = FRAME_PREFIX_SIZE + size;
    frame_write_prefix(message->bytes, (uint32_t)size);
    *call->tail = message;
    call->tail = &message->next;
    call->queued += message->size;
    if (!call->pump)
        call->pump = defer(call, on_pump);
    return message->bytes + FRAME_PREFIX_SIZE;
}

size_t grpc_call_queued(const GrpcCall *call)
{
    return call->queued;
}

void grpc_call_open(GrpcCall *call)
{
    call->open = true;
    if (!call->request || call->phase != CALL_WAITING)
        return;
    start_response(call);
    call->phase = CALL_SENDING;
    h2o_send(call->request, NULL, 0, H2O_SEND_STATE_IN_PROGRESS);
}

void grpc_call_finish(GrpcCall *call, FailureCode code, const char *text)
{
    call->held = false;
    call->gone = NULL;
    call->pump = event_free(call->pump);
    if (call->request && !call->finishing)
        call_close(call, code, text);
    call_unref(call);
}

void grpc_call_on_gone(GrpcCall *call, void (*function)(void *data), void *data)
{
    call->gone = function;
    call->gone_data = data;
    /* The stream has closed when nobody listened. */
    if (function && !call->request && !call->notice)
        call->notice = defer(call, on_notice);
}
