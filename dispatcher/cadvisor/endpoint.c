/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cadvisor/endpoint.h"

#include <errno.h>
#include <h2o.h>
#include <h2o/http1.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "dispatcher/cadvisor/answer.h"
#include "dispatcher/image/store.h"
#include "dispatcher/pods/index.h"
#include "dispatcher/socket.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/id.h"
#include "shared/log.h"

enum { REQUEST_SIZE_MAX = 4096 };

#define RETRY_ACCEPT (100 * CLOCK_MILLISECOND)

static const char CONTAINERS[] = "/containers/";

typedef struct Visitor {
    h2o_linklist_t link; /* endpoint->visitors */
    CadvisorEndpoint *endpoint;
    h2o_socket_t *socket;
} Visitor;

struct CadvisorEndpoint {
    Loop *loop;
    Node *node;
    int fd;
    EventSource *source;
    EventSource *retry; /* accepting again after a shortage */
    h2o_globalconf_t config;
    h2o_context_t context;
    h2o_accept_ctx_t accept;
    h2o_linklist_t visitors;
    size_t count;
};

typedef struct EndpointHandler {
    h2o_handler_t super;
    CadvisorEndpoint *endpoint;
} EndpointHandler;

/* ---- answers */

static char *find_answer(Node *node, const char *id)
{
    const Podmon__ContainerRecord *container = NULL;
    const Pod *pod = NULL;

    if (!id_is_valid(id))
        return NULL;
    pod_index_sync(node->pods);
    if (pod_index_find(node->pods, id, &pod) >= 0)
        return answer_of_pod(pod->record);
    if (pod_index_find_container(node->pods, id, &pod, &container) >= 0)
        return answer_of_container(pod->record, container);
    return NULL;
}

static void send_json(h2o_req_t *request, const char *text)
{
    request->res.status = 200;
    request->res.reason = "OK";
    request->res.content_length = strlen(text);
    h2o_add_header(&request->pool, &request->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL,
                   H2O_STRLIT("application/json"));
    h2o_send_inline(request, text, strlen(text));
}

static int on_request(h2o_handler_t *handler, h2o_req_t *request)
{
    Node *node = ((EndpointHandler *)handler)->endpoint->node;
    const size_t prefix = sizeof(CONTAINERS) - 1;
    const char *path = h2o_strdup(&request->pool, request->path.base, request->path.len).base;
    AUTO_FREE char *answer = NULL;

    if (!h2o_memis(request->method.base, request->method.len, H2O_STRLIT("GET"))) {
        h2o_send_error_generic(request, 405, "Method Not Allowed", "only GET is answered\n", 0);
        return 0;
    }
    if (strcmp(path, "/info") == 0)
        answer = answer_of_node(image_store_path(node->images));
    else if (strncmp(path, CONTAINERS, prefix) == 0)
        answer = find_answer(node, path + prefix);
    if (answer)
        send_json(request, answer);
    else
        h2o_send_error_404(request, "Not Found", "there is no such container\n", 0);
    return 0;
}

/* ---- connections */

static void on_close(void *data)
{
    Visitor *visitor = data;
    CadvisorEndpoint *endpoint = visitor->endpoint;

    h2o_linklist_unlink(&visitor->link);
    free(visitor);
    if (endpoint->count-- == CADVISOR_CONNECTIONS_MAX && endpoint->source)
        (void)event_set_fd(endpoint->source, EPOLLIN); /* Fails only for a bad descriptor. */
}

static void begin(CadvisorEndpoint *endpoint, int fd)
{
    h2o_socket_t *socket = h2o_evloop_socket_create(loop_h2o(endpoint->loop), fd,
                                                    H2O_SOCKET_FLAG_IS_ACCEPTED_CONNECTION);
    Visitor *visitor = h2o_mem_alloc(sizeof(*visitor));

    *visitor = (Visitor){.endpoint = endpoint, .socket = socket};
    h2o_linklist_insert(&endpoint->visitors, &visitor->link);
    endpoint->count++;
    socket->on_close.cb = on_close;
    socket->on_close.data = visitor;
    h2o_http1_accept(&endpoint->accept, socket, *h2o_get_timestamp(&endpoint->context, NULL, NULL));
}

static void on_retry(void *data, uint32_t events)
{
    CadvisorEndpoint *endpoint = data;

    (void)events;
    (void)event_set_fd(endpoint->source, EPOLLIN); /* Fails only for a bad descriptor. */
}

static void on_accept(void *data, uint32_t events)
{
    CadvisorEndpoint *endpoint = data;

    (void)events;
    while (endpoint->count < CADVISOR_CONNECTIONS_MAX) {
        int fd = accept4(endpoint->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            begin(endpoint, fd);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        if (errno == EAGAIN)
            return;
        log_warning("cannot accept a connection of cAdvisor: %s", strerror(errno));
        (void)event_set_timer(endpoint->retry, clock_monotonic() + RETRY_ACCEPT);
        break;
    }
    (void)event_set_fd(endpoint->source, 0); /* Fails only for a bad descriptor. */
}

/* h2o closes a connection when it finds it at its end, which takes a round of the loop or two. */
static void close_all(CadvisorEndpoint *endpoint)
{
    enum { ROUNDS_MAX = 100 };

    for (int round = 0; round < ROUNDS_MAX && endpoint->count > 0; round++) {
        for (h2o_linklist_t *link = endpoint->visitors.next; link != &endpoint->visitors;
             link = link->next)
            (void)shutdown(h2o_socket_get_fd(H2O_STRUCT_FROM_MEMBER(Visitor, link, link)->socket),
                           SHUT_RDWR);
        (void)h2o_evloop_run(loop_h2o(endpoint->loop), 0);
    }
}

/* ---- beginning and end */

static void configure(CadvisorEndpoint *endpoint)
{
    h2o_globalconf_t *config = &endpoint->config;
    h2o_hostconf_t *host;
    EndpointHandler *handler;

    h2o_config_init(config);
    config->server_name = h2o_iovec_init("", 0);
    config->max_request_entity_size = REQUEST_SIZE_MAX;
    host = h2o_config_register_host(config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    handler = (EndpointHandler *)h2o_create_handler(h2o_config_register_path(host, "/", 0),
                                                    sizeof(*handler));
    handler->super.on_req = on_request;
    handler->endpoint = endpoint;
    h2o_context_init(&endpoint->context, loop_h2o(endpoint->loop), config);
    endpoint->accept = (h2o_accept_ctx_t){.ctx = &endpoint->context, .hosts = config->hosts};
}

int cadvisor_endpoint_new(Loop *loop, Node *node, const char *path, CadvisorEndpoint **ret,
                          Failure *why)
{
    AUTO_CLOSE int fd = socket_listen(path, why);
    EventLoop *events = loop_events(loop);
    CadvisorEndpoint *endpoint;
    int r;

    if (fd < 0)
        return fd;
    endpoint = calloc(1, sizeof(*endpoint));
    if (!endpoint)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "no memory for %s", path);
    *endpoint = (CadvisorEndpoint){.loop = loop, .node = node, .fd = take_fd(&fd)};
    h2o_linklist_init_anchor(&endpoint->visitors);
    configure(endpoint);
    r = event_add_timer(events, UINT64_MAX, on_retry, endpoint, &endpoint->retry);
    if (r >= 0)
        r = event_add_fd(events, endpoint->fd, EPOLLIN, on_accept, endpoint, &endpoint->source);
    if (r < 0) {
        (void)cadvisor_endpoint_free(endpoint);
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot watch %s", path);
    }
    *ret = endpoint;
    return 0;
}

CadvisorEndpoint *cadvisor_endpoint_free(CadvisorEndpoint *endpoint)
{
    h2o_multithread_queue_t *queue;

    if (!endpoint)
        return NULL;
    endpoint->source = event_free(endpoint->source);
    (void)event_free(endpoint->retry);
    close_all(endpoint);
    fd_close(&endpoint->fd);
    /* h2o_context_dispose empties this queue and forgets it. */
    queue = endpoint->context.queue;
    h2o_context_dispose(&endpoint->context);
    free(queue);
    h2o_config_dispose(&endpoint->config);
    free(endpoint);
    return NULL;
}
