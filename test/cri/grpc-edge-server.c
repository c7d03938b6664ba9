/* SPDX-License-Identifier: Apache-2.0 */
/* A gRPC server for test/cri/grpc-edge: the dispatcher's gRPC layer with methods that need no pod.
 * All of service /test.Edge; requests are decimal numbers or bytes.
 *
 *   Echo           replies the request
 *   Blob SIZE      replies SIZE bytes
 *   Fail CODE      ends with this code and a text that has to be escaped
 *   Late CODE      the same after a message
 *   Sleep MS       replies after MS
 *   Tick MS        a message every MS, without end
 *   Pour KIB       a stream of KIB messages of 1 KiB, produced as the client reads
 *   Stats          "live gone fds": open calls but this one, calls that went early, descriptors */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "dispatcher/grpc/server.h"
#include "dispatcher/loop.h"
#include "dispatcher/socket.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/text.h"

enum { KIB = 1024, POUR_AHEAD = 256 * KIB };

#define POUR_INTERVAL (2 * CLOCK_MILLISECOND)

typedef struct Server {
    Loop *loop;
    GrpcServer *grpc;
    size_t gone;
} Server;

/* A call that goes on: woken by its timer until `left` is used up. */
typedef struct Job {
    Server *server;
    GrpcCall *call;
    EventSource *timer;
    void (*step)(struct Job *job);
    uint64_t interval;
    size_t left;
} Job;

static void job_free(Job *job)
{
    (void)event_free(job->timer);
    free(job);
}

static void on_gone(void *data)
{
    Job *job = data;

    job->server->gone++;
    job_free(job);
}

static void on_timer(void *data, uint32_t events)
{
    Job *job = data;

    (void)events;
    job->step(job);
}

static void job_end(Job *job)
{
    GrpcCall *call = job->call;

    job_free(job);
    grpc_call_finish(call, FAILURE_NONE, NULL);
}

static void job_again(Job *job)
{
    (void)event_set_timer(job->timer, clock_monotonic() + job->interval);
}

static void job_start(Server *server, GrpcCall *call, void (*step)(Job *job), uint64_t interval,
                      size_t left)
{
    Job *job = calloc(1, sizeof(*job));

    if (!job)
        abort();
    *job = (Job){server, call, NULL, step, interval, left};
    grpc_call_on_gone(call, on_gone, job);
    if (event_add_timer(loop_events(server->loop), clock_monotonic() + interval, on_timer, job,
                        &job->timer) < 0)
        abort();
}

static void reply(GrpcCall *call, const void *data, size_t size)
{
    uint8_t *target = grpc_call_reserve(call, size);

    if (size > 0)
        memcpy(target, data, size);
    grpc_call_finish(call, FAILURE_NONE, NULL);
}

static void step_sleep(Job *job)
{
    memcpy(grpc_call_reserve(job->call, 5), "slept", 5);
    job_end(job);
}

static void step_tick(Job *job)
{
    memcpy(grpc_call_reserve(job->call, 4), "tick", 4);
    job_again(job);
}

static void step_pour(Job *job)
{
    while (job->left > 0 && grpc_call_queued(job->call) < POUR_AHEAD) {
        memset(grpc_call_reserve(job->call, KIB), 'p', KIB);
        job->left--;
    }
    if (job->left > 0)
        job_again(job);
    else
        job_end(job);
}

static size_t count_fds(void)
{
    DIR *directory = opendir("/proc/self/fd");
    size_t count = 0;

    if (!directory)
        return 0;
    while (readdir(directory))
        count++;
    (void)closedir(directory);
    return count - 3; /* ".", "..", and this one */
}

static void reply_stats(const Server *server, GrpcCall *call)
{
    char text[128];
    int length = snprintf(text, sizeof(text), "%zu %zu %zu",
                          grpc_server_live_calls(server->grpc) - 1, server->gone, count_fds());

    reply(call, text, (size_t)length);
}

static void reply_blob(GrpcCall *call, size_t size)
{
    memset(grpc_call_reserve(call, size), 'b', size);
    grpc_call_finish(call, FAILURE_NONE, NULL);
}

static void serve(void *data, GrpcCall *call, const char *path, const uint8_t *message, size_t size)
{
    static const char service[] = "/test.Edge/";
    Server *server = data;
    const char *name = text_starts_with(path, service) ? path + sizeof(service) - 1 : "";
    char text[32] = "";
    unsigned long number;

    memcpy(text, message, size < sizeof(text) ? size : sizeof(text) - 1);
    number = strtoul(text, NULL, 10);
    if (strcmp(name, "Echo") == 0) {
        reply(call, message, size);
    } else if (strcmp(name, "Blob") == 0) {
        reply_blob(call, number);
    } else if (strcmp(name, "Fail") == 0) {
        grpc_call_finish(call, (FailureCode)number, "100% of \"\xc3\xbc\"\n");
    } else if (strcmp(name, "Late") == 0) {
        memcpy(grpc_call_reserve(call, 3), "abc", 3);
        grpc_call_finish(call, (FailureCode)number, "too late");
    } else if (strcmp(name, "Sleep") == 0) {
        job_start(server, call, step_sleep, number * CLOCK_MILLISECOND, 1);
    } else if (strcmp(name, "Tick") == 0) {
        grpc_call_open(call);
        job_start(server, call, step_tick, number * CLOCK_MILLISECOND, 1);
    } else if (strcmp(name, "Pour") == 0) {
        job_start(server, call, step_pour, POUR_INTERVAL, number);
    } else if (strcmp(name, "Stats") == 0) {
        reply_stats(server, call);
    } else {
        grpc_call_finish(call, FAILURE_UNIMPLEMENTED, "no such method");
    }
}

static void on_quiet(void *data)
{
    loop_stop(((Server *)data)->loop);
}

static void on_terminate(void *data)
{
    Server *server = data;

    grpc_server_stop(server->grpc, on_quiet, server);
}

/* grpc-edge-server SOCKET [FDS-LIMIT] */
int main(int argc, char **argv)
{
    Server server = {0};
    Failure why;
    int fd;

    if (argc < 2)
        return 2;
    log_open("grpc-edge-server", LOG_LEVEL_INFO);
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc > 2) {
        struct rlimit limit = {.rlim_cur = strtoul(argv[2], NULL, 10)};

        limit.rlim_max = limit.rlim_cur;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
            return 1;
    }
    fd = socket_listen(argv[1], &why);
    if (fd < 0) {
        log_error("%s", why.text);
        return 1;
    }
    if (loop_new(&server.loop) < 0 ||
        grpc_server_new(server.loop, serve, &server, &server.grpc) < 0 ||
        grpc_server_listen(server.grpc, fd) < 0)
        return 1;
    (void)loop_run(server.loop, on_terminate, &server);
    (void)grpc_server_free(server.grpc);
    (void)loop_free(server.loop);
    return 0;
}
