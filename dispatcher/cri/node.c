/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/config.h"
#include "dispatcher/cri/forward.h"
#include "dispatcher/cri/handlers.h"
#include "dispatcher/cri/info.h"
#include "dispatcher/cri/kernel.h"
#include "dispatcher/cri/map.h"
#include "dispatcher/cri/readiness.h"
#include "runtime_v1.pb-c.h"

/* What the kubelet asks for by this number; its own name for the version of the interface. */
static char INTERFACE_VERSION[] = "0.1.0";
static char API_VERSION[] = "v1";
static char RUNTIME_NAME[] = "podmon";
static char RUNTIME_VERSION[] = PODMON_VERSION;

void cri_version(CriCall *call)
{
    Runtime__V1__VersionResponse response = RUNTIME__V1__VERSION_RESPONSE__INIT;

    response.version = INTERFACE_VERSION;
    response.runtime_name = RUNTIME_NAME;
    response.runtime_version = RUNTIME_VERSION;
    response.runtime_api_version = API_VERSION;
    cri_call_reply(call, &response.base);
}

static Runtime__V1__RuntimeCondition *make_condition(Arena *arena, const char *type, bool status,
                                                     const char *reason, const char *message)
{
    Runtime__V1__RuntimeCondition *condition = arena_alloc(arena, sizeof(*condition));

    runtime__v1__runtime_condition__init(condition);
    condition->type = (char *)(uintptr_t)type;
    condition->status = status;
    condition->reason = (char *)(uintptr_t)reason;
    condition->message = arena_copy(arena, message);
    return condition;
}

/* A runtime that answers can run pods on the host's network: RuntimeReady. */
static Runtime__V1__RuntimeStatus *make_status(Arena *arena, bool network_ready,
                                               const char *network)
{
    Runtime__V1__RuntimeStatus *status = arena_alloc(arena, sizeof(*status));

    runtime__v1__runtime_status__init(status);
    status->n_conditions = 2;
    status->conditions = arena_alloc_array(arena, 2, sizeof(Runtime__V1__RuntimeCondition *));
    status->conditions[0] = make_condition(arena, "RuntimeReady", true, "", "");
    status->conditions[1] = network_ready ? make_condition(arena, "NetworkReady", true, "", "")
                                          : make_condition(arena, "NetworkReady", false,
                                                           "NetworkPluginNotReady", network);
    return status;
}

/* One handler, the default; its features are those that are built. */
static void add_handlers(Arena *arena, Runtime__V1__StatusResponse *response)
{
    Runtime__V1__RuntimeHandler *handler = arena_alloc(arena, sizeof(*handler));
    Runtime__V1__RuntimeHandlerFeatures *handler_features =
        arena_alloc(arena, sizeof(*handler_features));
    Runtime__V1__RuntimeFeatures *features = arena_alloc(arena, sizeof(*features));

    runtime__v1__runtime_handler__init(handler);
    runtime__v1__runtime_handler_features__init(handler_features);
    runtime__v1__runtime_features__init(features);
    handler->features = handler_features;
    handler_features->recursive_read_only_mounts = true;
    handler_features->user_namespaces = kernel_has_user_namespaces();
    features->supplemental_groups_policy = true;
    features->user_namespaces_host_network = handler_features->user_namespaces;
    features->mount_options = true;
    response->n_runtime_handlers = 1;
    response->runtime_handlers = arena_alloc_array(arena, 1, sizeof(Runtime__V1__RuntimeHandler *));
    response->runtime_handlers[0] = handler;
    response->features = features;
}

void cri_status(CriCall *call)
{
    const Runtime__V1__StatusRequest *request = (const void *)cri_call_request(call);
    Runtime__V1__StatusResponse response = RUNTIME__V1__STATUS_RESPONSE__INIT;
    const Node *node = cri_call_node(call);
    Arena *arena = cri_call_arena(call);
    char path[READINESS_PATH_SIZE];
    const char *network = path;
    Podmon__Pair **info;
    Failure why;

    if (readiness_find_network(node->config->cni_conf_dir, path, &why) < 0)
        network = why.text;
    response.status = make_status(arena, network == path, network);
    add_handlers(arena, &response);
    if (request->verbose) {
        info = info_of_node(arena, node, network, &response.n_info);
        response.info = map_from_pairs(arena, &runtime__v1__status_response__info_entry__descriptor,
                                       info, response.n_info);
    }
    cri_call_reply(call, &response.base);
}

void cri_runtime_config(CriCall *call)
{
    Runtime__V1__RuntimeConfigResponse response = RUNTIME__V1__RUNTIME_CONFIG_RESPONSE__INIT;
    Runtime__V1__LinuxRuntimeConfiguration settings =
        RUNTIME__V1__LINUX_RUNTIME_CONFIGURATION__INIT;

    settings.cgroup_driver = cri_call_node(call)->systemd ? RUNTIME__V1__CGROUP_DRIVER__SYSTEMD
                                                          : RUNTIME__V1__CGROUP_DRIVER__CGROUPFS;
    response.linux = &settings;
    cri_call_reply(call, &response.base);
}

/* The pod CIDR is the business of the CNI configuration, which its owner writes. */
void cri_update_runtime_config(CriCall *call)
{
    cri_call_reply(call,
                   forward_empty(call, &runtime__v1__update_runtime_config_response__descriptor));
}
