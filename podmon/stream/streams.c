/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/stream/streams.h"

#include <errno.h>
#include <stdlib.h>

#include "podmon/stream/session.h"
#include "podmon/stream/token.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/message.h"

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

/* ---- from one program to the next */

bool streams_are_steady(const Streams *streams)
{
    for (const Node *node = streams ? streams->sessions : NULL; node; node = node->next)
        if (!session_is_steady(node->session))
            return false;
    return true;
}

size_t streams_count_commands(const Streams *streams)
{
    size_t count = 0;

    for (const Node *node = streams ? streams->sessions : NULL; node; node = node->next)
        count += session_has_command(node->session);
    return count;
}

/* Everything in it is borrowed; the copy is what lasts. */
static int copy_description(Podmon__CarriedSession *sessions, size_t sessions_count,
                            Podmon__CarriedToken *tokens, size_t tokens_count,
                            Podmon__Handover **ret)
{
    Podmon__Handover handover = PODMON__HANDOVER__INIT;
    AUTO_FREE Podmon__CarriedSession **session_list = calloc(sessions_count + 1, sizeof(void *));
    AUTO_FREE Podmon__CarriedToken **token_list = calloc(tokens_count + 1, sizeof(void *));

    if (!session_list || !token_list)
        return -ENOMEM;
    for (size_t i = 0; i < sessions_count; i++)
        session_list[i] = &sessions[i];
    for (size_t i = 0; i < tokens_count; i++)
        token_list[i] = &tokens[i];
    handover.control_version = CONTROL_VERSION;
    handover.n_sessions = sessions_count;
    handover.sessions = session_list;
    handover.n_tokens = tokens_count;
    handover.tokens = token_list;
    *ret = (Podmon__Handover *)message_copy(&handover.base);
    return *ret ? 0 : -ENOMEM;
}

int streams_describe(const Pod *pod, Podmon__Handover **ret)
{
    const Streams *streams = pod->streams;
    AUTO_FREE Podmon__CarriedSession *sessions =
        calloc((streams ? streams->count : 0) + 1, sizeof(*sessions));
    AUTO_FREE Podmon__CarriedToken *tokens = NULL;
    size_t count = 0;
    int tokens_count = 0;

    if (!sessions)
        return -ENOMEM;
    for (const Node *node = streams ? streams->sessions : NULL; node; node = node->next)
        session_describe(node->session, &sessions[count++]);
    if (streams)
        tokens_count = token_store_describe(streams->tokens, clock_monotonic(), &tokens);
    if (tokens_count < 0)
        return tokens_count;
    return copy_description(sessions, count, tokens, (size_t)tokens_count, ret);
}

static int resume_session(Pod *pod, const Podmon__CarriedSession *carried)
{
    Node *node = malloc(sizeof(*node));
    int r = node ? session_adopt(pod, carried, session_ended, pod, &node->session) : -ENOMEM;

    if (r < 0) {
        free(node);
        return r;
    }
    node->next = pod->streams->sessions;
    pod->streams->sessions = node;
    pod->streams->count++;
    return 0;
}

void streams_resume(Pod *pod)
{
    Podmon__Handover *handover = pod->handover;
    Streams *streams = NULL;
    Failure why = {0};
    size_t lost = 0;

    if (!handover)
        return;
    if (get_streams(pod, &streams, &why) < 0)
        lost = handover->n_sessions + handover->n_tokens;
    for (size_t i = 0; streams && i < handover->n_tokens; i++)
        lost += token_store_adopt(streams->tokens, handover->tokens[i]) < 0;
    for (size_t i = 0; streams && i < handover->n_sessions; i++)
        lost += resume_session(pod, handover->sessions[i]) < 0;
    if (lost > 0)
        log_warning("%zu streams could not be taken over", lost);
    podmon__handover__free_unpacked(handover, NULL);
    pod->handover = NULL;
}
