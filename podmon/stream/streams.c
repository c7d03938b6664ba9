/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/stream/streams.h"

#include <errno.h>
#include <stdlib.h>

#include "podmon/stream/session.h"
#include "podmon/stream/token.h"
#include "shared/cleanup.h"
#include "shared/clock.h"

typedef struct Node {
    struct Node *next;
    Session *session;
} Node;

struct Streams {
    TokenStore *tokens;
    Node *sessions;
    size_t count;
};

Streams *streams_free(Streams *streams)
{
    if (!streams)
        return NULL;
    while (streams->sessions) {
        Node *node = streams->sessions;
        streams->sessions = node->next;
        session_free(node->session);
        free(node);
    }
    token_store_free(streams->tokens);
    free(streams);
    return NULL;
}

static int get_streams(Pod *pod, Streams **ret, Failure *why)
{
    Streams *streams = pod->streams;

    if (!streams) {
        streams = calloc(1, sizeof(*streams));
        if (!streams || token_store_new(pod->id, &streams->tokens) < 0) {
            free(streams);
            return failure_set(why, FAILURE_INTERNAL, ENOMEM, "no memory for streams");
        }
        pod->streams = streams;
    }
    if (streams->count >= STREAMS_SESSIONS_MAX)
        return failure_say(why, FAILURE_RESOURCE_EXHAUSTED, "the pod has %d open streams already",
                           STREAMS_SESSIONS_MAX);
    *ret = streams;
    return 0;
}

int streams_prepare(Pod *pod, const Podmon__PrepareStream *request, char *ret, Failure *why)
{
    Streams *streams = NULL;
    int r = get_streams(pod, &streams, why);

    if (r < 0)
        return r;
    r = token_store_add(streams->tokens, clock_monotonic(), request, ret);
    if (r == -ENOSPC)
        return failure_say(why, FAILURE_RESOURCE_EXHAUSTED,
                           "maximum number of in-flight requests exceeded");
    return r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot make a token") : 0;
}

static void session_ended(void *data, Session *session)
{
    Pod *pod = data;
    Node **link = &pod->streams->sessions;
    Node *node;

    while ((*link)->session != session)
        link = &(*link)->next;
    node = *link;
    *link = node->next;
    pod->streams->count--;
    session_free(session);
    free(node);
    pod_reap_orphans(pod);
}

int streams_take(Pod *pod, const Podmon__HandStream *request, int fd, Failure *why)
{
    Podmon__PrepareStream *prepared;
    Streams *streams = NULL;
    AUTO_FREE Node *node = malloc(sizeof(*node));
    int r = get_streams(pod, &streams, why);

    if (r < 0)
        return r;
    prepared =
        token_store_take(streams->tokens, clock_monotonic(), request->token, request->operation);
    if (!prepared)
        return failure_say(why, FAILURE_NOT_FOUND, "no such token");
    r = node ? session_start(pod, prepared, fd, request->data.data, request->data.len,
                             session_ended, pod, &node->session, why)
             : failure_set(why, FAILURE_INTERNAL, ENOMEM, "no memory for a stream");
    if (r < 0) {
        podmon__prepare_stream__free_unpacked(prepared, NULL);
        return r;
    }
    node->next = streams->sessions;
    streams->sessions = TAKE(node);
    streams->count++;
    return 0;
}

void streams_stop(Pod *pod)
{
    for (Node *node = pod->streams ? pod->streams->sessions : NULL; node; node = node->next)
        session_quit(node->session);
}

void streams_close_input(Pod *pod, const char *container_id)
{
    for (Node *node = pod->streams ? pod->streams->sessions : NULL; node; node = node->next)
        session_close_input(node->session, container_id);
}

bool streams_own(const Streams *streams, pid_t pid)
{
    for (const Node *node = streams ? streams->sessions : NULL; node; node = node->next)
        if (session_owns(node->session, pid))
            return true;
    return false;
}
