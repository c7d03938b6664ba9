/* SPDX-License-Identifier: Apache-2.0 */
/* podmon-dispatcher: serves gRPC and finds, starts and asks the podmon of each pod. It keeps
 * nothing that is not on disk, so that it may be killed and started again at any moment. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "dispatcher/api/serve.h"
#include "dispatcher/apparmor.h"
#include "dispatcher/cadvisor/endpoint.h"
#include "dispatcher/chroot.h"
#include "dispatcher/config.h"
#include "dispatcher/cri/events.h"
#include "dispatcher/grpc/server.h"
#include "dispatcher/image/pulls.h"
#include "dispatcher/image/store.h"
#include "dispatcher/loop.h"
#include "dispatcher/node.h"
#include "dispatcher/options.h"
#include "dispatcher/pods/client.h"
#include "dispatcher/pods/index.h"
#include "dispatcher/program.h"
#include "dispatcher/socket.h"
#include "dispatcher/stream/endpoint.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/file.h"
#include "shared/log.h"

#define STOP_TIMEOUT (5 * CLOCK_SECOND)

enum { EXIT_MISUSE = 2 };

typedef struct Dispatcher {
    Config config;
    Loop *loop;
    Node node;
    GrpcServer *server;
    CadvisorEndpoint *cadvisor; /* NULL: not wanted */
    EventSource *watchdog;
    uint64_t watchdog_interval;
    EventSource *stop_timer;
    bool stopping;
} Dispatcher;

static void replace_string(char **target, const char *value, Failure *why, int *r)
{
    char *copy;

    if (!value || *r < 0)
        return;
    copy = strdup(value);
    if (!copy) {
        *r = failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot keep \"%s\"", value);
        return;
    }
    free(*target);
    *target = copy;
}

static int read_settings(const Options *options, Config *config, Failure *why)
{
    const char *file = options->config ? options->config : CONFIG_DEFAULT_FILE;
    AUTO_FREE char *podmon = NULL;
    int r;

    r = config_load(file, options->config != NULL, config, why);
    if (r < 0)
        return r;
    replace_string(&config->listen, options->listen, why, &r);
    replace_string(&config->run_dir, options->run_dir, why, &r);
    replace_string(&config->root_dir, options->root_dir, why, &r);
    if (r >= 0)
        r = program_find_podmon(config, &podmon, why);
    if (r >= 0) {
        free(config->podmon);
        config->podmon = TAKE(podmon);
    }
    if (r < 0)
        config_done(config);
    return r;
}

static int make_directory(const char *path, Failure *why)
{
    int r = file_make_directories(path, 0700);

    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot make %s", path);
    return 0;
}

static int dispatcher_open_node(Dispatcher *dispatcher, Failure *why)
{
    const Config *config = &dispatcher->config;
    Node *node = &dispatcher->node;
    const LaunchPaths paths = {
        .podmon = config->podmon,
        .run_dir = config->run_dir,
        .root_dir = config->root_dir,
    };
    const PullSettings pulls = {
        .root_dir = config->root_dir,
        .registries_dir = config->registries_dir,
        .parallel_layers = config->parallel_layers,
        .stall_timeout_ms = config->stall_timeout_ms,
        .slice = config->slice,
        .systemd = config->systemd && sd_booted() > 0,
        .memory_max = (uint64_t)config->memory_max,
        .proxy = config->proxy,
    };
    int r;

    node->config = config;
    node->loop = loop_events(dispatcher->loop);
    node->systemd = config->systemd && sd_booted() > 0;
    r = make_directory(config->run_dir, why);
    if (r >= 0)
        r = make_directory(config->root_dir, why);
    if (r >= 0)
        r = pod_index_new(config->run_dir, config->root_dir, &node->pods, why);
    if (r >= 0)
        r = image_store_open(config->root_dir, &node->images, why);
    if (r < 0)
        return r;
    r = pod_guard_new(node->loop, node->pods, &paths, config->podmon_timeout_ms * CLOCK_MILLISECOND,
                      &node->guard);
    if (r >= 0)
        r = pod_client_new(node->loop, config->run_dir, node->guard, &node->client);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot prepare calls to pods");
    pod_guard_collect(node->guard, config->cni_conf_dir, config->cni_bin_dirs,
                      config->cni_timeout_ms);
    r = image_pulls_new(node->loop, &pulls, &node->pulls);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot prepare pulls of images");
    return stream_endpoint_new(node, &node->endpoint, why);
}

/* Containers run all the same: what they ask for by name is refused where it is not loaded. */
static void prepare_confinement(void)
{
    Failure why;

    if (apparmor_load_default(&why) < 0)
        log_warning("containers have no default profile of AppArmor: %s", why.text);
}

static int dispatcher_listen(Dispatcher *dispatcher, Failure *why)
{
    int fds[GRPC_LISTENERS_MAX], count, r;

    r = grpc_server_new(dispatcher->loop, api_serve, &dispatcher->node, &dispatcher->server);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot prepare the server");
    count = socket_inherit(fds, GRPC_LISTENERS_MAX, why);
    if (count == 0) {
        fds[0] = socket_listen(dispatcher->config.listen, why);
        count = fds[0] < 0 ? fds[0] : 1;
    }
    for (int i = 0; i < count; i++) {
        r = grpc_server_listen(dispatcher->server, fds[i]);
        if (r < 0)
            return failure_set(why, FAILURE_INTERNAL, -r, "cannot watch the socket");
    }
    if (count < 0 || !dispatcher->config.cadvisor_socket)
        return count < 0 ? count : 0;
    return cadvisor_endpoint_new(dispatcher->loop, &dispatcher->node,
                                 dispatcher->config.cadvisor_socket, &dispatcher->cadvisor, why);
}

static void on_watchdog(void *data, uint32_t events)
{
    Dispatcher *dispatcher = data;

    (void)events;
    (void)sd_notify(0, "WATCHDOG=1");
    (void)event_set_timer(dispatcher->watchdog, clock_monotonic() + dispatcher->watchdog_interval);
}

/* Twice as often as systemd wants it, and only if it does. */
static void dispatcher_start_watchdog(Dispatcher *dispatcher)
{
    uint64_t timeout_us = 0;

    if (sd_watchdog_enabled(0, &timeout_us) <= 0)
        return;
    dispatcher->watchdog_interval = timeout_us * 1000 / 2;
    (void)event_add_timer(loop_events(dispatcher->loop), clock_monotonic(), on_watchdog, dispatcher,
                          &dispatcher->watchdog);
}

static void on_quiet(void *data)
{
    Dispatcher *dispatcher = data;

    loop_stop(dispatcher->loop);
}

static void on_stop_timeout(void *data, uint32_t events)
{
    Dispatcher *dispatcher = data;

    (void)events;
    log_notice("%zu calls are given up", grpc_server_live_calls(dispatcher->server));
    loop_stop(dispatcher->loop);
}

/* A second signal does not wait for anybody. */
static void on_terminate(void *data)
{
    Dispatcher *dispatcher = data;

    if (dispatcher->stopping) {
        loop_stop(dispatcher->loop);
        return;
    }
    dispatcher->stopping = true;
    (void)sd_notify(0, "STOPPING=1");
    log_info("stopping; pods go on");
    if (event_add_timer(loop_events(dispatcher->loop), clock_monotonic() + STOP_TIMEOUT,
                        on_stop_timeout, dispatcher, &dispatcher->stop_timer) < 0)
        loop_stop(dispatcher->loop);
    grpc_server_stop(dispatcher->server, on_quiet, dispatcher);
}

static void dispatcher_done(Dispatcher *dispatcher)
{
    (void)cadvisor_endpoint_free(dispatcher->cadvisor);
    (void)grpc_server_free(dispatcher->server);
    (void)stream_endpoint_free(dispatcher->node.endpoint);
    (void)pod_client_free(dispatcher->node.client);
    (void)pod_guard_free(dispatcher->node.guard);
    (void)events_free(dispatcher->node.events);
    (void)image_pulls_free(dispatcher->node.pulls);
    (void)image_store_free(dispatcher->node.images);
    (void)pod_index_free(dispatcher->node.pods);
    (void)event_free(dispatcher->watchdog);
    (void)event_free(dispatcher->stop_timer);
    (void)loop_free(dispatcher->loop);
    config_done(&dispatcher->config);
}

static int dispatcher_run(Dispatcher *dispatcher, Failure *why)
{
    int r;

    r = loop_new(&dispatcher->loop);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "cannot make the event loop");
    r = dispatcher_open_node(dispatcher, why);
    if (r < 0)
        return r;
    prepare_confinement();
    r = dispatcher_listen(dispatcher, why);
    if (r < 0)
        return r;
    dispatcher_start_watchdog(dispatcher);
    (void)sd_notifyf(0, "READY=1\nSTATUS=%zu pods", pod_index_count(dispatcher->node.pods));
    log_info("serving; %zu pods are here", pod_index_count(dispatcher->node.pods));
    r = loop_run(dispatcher->loop, on_terminate, dispatcher);
    if (r < 0)
        return failure_set(why, FAILURE_INTERNAL, -r, "the event loop has failed");
    return 0;
}

int main(int argc, char **argv)
{
    Dispatcher dispatcher = {0};
    Options options;
    Failure why;
    int r;

    if (options_parse(argc, argv, &options, &why) < 0) {
        (void)fprintf(stderr, "podmon-dispatcher: %s\nTry podmon-dispatcher --help.\n", why.text);
        return EXIT_MISUSE;
    }
    if (options.action != OPTIONS_RUN) {
        (void)printf("%s", options.action == OPTIONS_HELP ? OPTIONS_USAGE
                                                          : "podmon-dispatcher " PODMON_VERSION
                                                            "\n");
        return EXIT_SUCCESS;
    }
    if (read_settings(&options, &dispatcher.config, &why) < 0) {
        (void)fprintf(stderr, "podmon-dispatcher: %s\n", why.text);
        return EXIT_MISUSE;
    }

    if (chroot_detect() > 0) {
        (void)fputs(
            "podmon-dispatcher: runs in a chroot, where containers cannot be confined; give "
            "it a mount namespace with a root of its own (pivot_root(2))\n",
            stderr);
        config_done(&dispatcher.config);
        return EXIT_MISUSE;
    }

    log_open("podmon-dispatcher", (LogLevel)dispatcher.config.log_level);
    (void)signal(SIGPIPE, SIG_IGN);
    r = dispatcher_run(&dispatcher, &why);
    if (r < 0)
        log_error("%s", why.text);
    dispatcher_done(&dispatcher);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
