/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/api/seed.h"

#include <errno.h>
#include <string.h>

#include "dispatcher/api/annotation.h"
#include "runtime.pb-c.h"
#include "runtime_v1.pb-c.h"
#include "shared/layout.h"

typedef Runtime__V1__SecurityProfile Profile;

int seed_find_method(const char *service, const char *name,
                     const ProtobufCMessageDescriptor **ret_request,
                     const ProtobufCMessageDescriptor **ret_response)
{
    static const ProtobufCServiceDescriptor *const services[] = {
        &runtime__runtime_service__descriptor,
        &runtime__image_service__descriptor,
    };

    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
        const ProtobufCMethodDescriptor *method;

        if (strcmp(services[i]->short_name, service) != 0)
            continue;
        method = protobuf_c_service_descriptor_get_method_by_name(services[i], name);
        if (!method)
            continue;
        *ret_request = method->input;
        *ret_response = method->output;
        return 0;
    }
    return -ENOENT;
}

/* A new message of the type that `pointer` points to, with protobuf-c's `initialise`. */
#define NEW_MESSAGE(context, pointer, initialise)                                                  \
    do {                                                                                           \
        (pointer) = arena_alloc((context)->arena, sizeof(*(pointer)));                             \
        initialise(pointer);                                                                       \
    } while (0)

static Runtime__V1__Int64Value *int64_value(const SeedContext *context, int64_t number)
{
    Runtime__V1__Int64Value *value;

    NEW_MESSAGE(context, value, runtime__v1__int64_value__init);
    value->value = number;
    return value;
}

/* Flags of the seed, modes of runtime.v1. The seed knows no PID namespace of a pod: a container
 * that does not use the host's has its own. */
static int raise_namespace_option(const SeedContext *context, const ProtobufCMessage *seed,
                                  ProtobufCMessage *v1, Failure *why)
{
    const Runtime__NamespaceOption *from = (const Runtime__NamespaceOption *)seed;
    Runtime__V1__NamespaceOption *to = (Runtime__V1__NamespaceOption *)v1;

    (void)context;
    (void)why;
    to->network =
        from->host_network ? RUNTIME__V1__NAMESPACE_MODE__NODE : RUNTIME__V1__NAMESPACE_MODE__POD;
    to->pid =
        from->host_pid ? RUNTIME__V1__NAMESPACE_MODE__NODE : RUNTIME__V1__NAMESPACE_MODE__CONTAINER;
    to->ipc = from->host_ipc ? RUNTIME__V1__NAMESPACE_MODE__NODE : RUNTIME__V1__NAMESPACE_MODE__POD;
    return 0;
}

static void lower_namespace_option(const SeedContext *context, const ProtobufCMessage *v1,
                                   ProtobufCMessage *seed)
{
    const Runtime__V1__NamespaceOption *from = (const Runtime__V1__NamespaceOption *)v1;
    Runtime__NamespaceOption *to = (Runtime__NamespaceOption *)seed;

    (void)context;
    to->has_host_network = to->has_host_pid = to->has_host_ipc = 1;
    to->host_network = from->network == RUNTIME__V1__NAMESPACE_MODE__NODE;
    to->host_pid = from->pid == RUNTIME__V1__NAMESPACE_MODE__NODE;
    to->host_ipc = from->ipc == RUNTIME__V1__NAMESPACE_MODE__NODE;
}

/* What an absent NamespaceOption means in the seed is not what it means in runtime.v1. */
static void complete_namespaces(const SeedContext *context, Runtime__V1__NamespaceOption **option)
{
    if (*option)
        return;
    NEW_MESSAGE(context, *option, runtime__v1__namespace_option__init);
    (*option)->pid = RUNTIME__V1__NAMESPACE_MODE__CONTAINER;
}

static int raise_sandbox_security(const SeedContext *context, const ProtobufCMessage *seed,
                                  ProtobufCMessage *v1, Failure *why)
{
    const Runtime__LinuxSandboxSecurityContext *from =
        (const Runtime__LinuxSandboxSecurityContext *)seed;
    Runtime__V1__LinuxSandboxSecurityContext *to = (Runtime__V1__LinuxSandboxSecurityContext *)v1;

    (void)why;
    if (from->has_run_as_user)
        to->run_as_user = int64_value(context, from->run_as_user);
    return 0;
}

static int raise_sandbox_config(const SeedContext *context, const ProtobufCMessage *seed,
                                ProtobufCMessage *v1, Failure *why)
{
    Runtime__V1__PodSandboxConfig *to = (Runtime__V1__PodSandboxConfig *)v1;
    Runtime__V1__LinuxSandboxSecurityContext *security;
    int r;

    (void)seed;
    if (!to->linux)
        NEW_MESSAGE(context, to->linux, runtime__v1__linux_pod_sandbox_config__init);
    if (!to->linux->security_context)
        NEW_MESSAGE(context, to->linux->security_context,
                    runtime__v1__linux_sandbox_security_context__init);
    security = to->linux->security_context;
    complete_namespaces(context, &security->namespace_options);

    r = annotation_read_sysctls(to->annotations, to->n_annotations, context->arena,
                                &to->linux->sysctls, &to->linux->n_sysctls, why);
    if (r < 0)
        return r;
    return annotation_read_seccomp(to->annotations, to->n_annotations, NULL,
                                   context->settings->seccomp_profile_dir, context->arena,
                                   &security->seccomp, why);
}

static int raise_container_security(const SeedContext *context, const ProtobufCMessage *seed,
                                    ProtobufCMessage *v1, Failure *why)
{
    const Runtime__LinuxContainerSecurityContext *from =
        (const Runtime__LinuxContainerSecurityContext *)seed;
    Runtime__V1__LinuxContainerSecurityContext *to =
        (Runtime__V1__LinuxContainerSecurityContext *)v1;

    (void)why;
    if (from->has_run_as_user)
        to->run_as_user = int64_value(context, from->run_as_user);
    return 0;
}

static int raise_container_config(const SeedContext *context, const ProtobufCMessage *seed,
                                  ProtobufCMessage *v1, Failure *why)
{
    Runtime__V1__ContainerConfig *to = (Runtime__V1__ContainerConfig *)v1;

    (void)seed;
    (void)why;
    if (!to->linux)
        NEW_MESSAGE(context, to->linux, runtime__v1__linux_container_config__init);
    if (!to->linux->security_context)
        NEW_MESSAGE(context, to->linux->security_context,
                    runtime__v1__linux_container_security_context__init);
    complete_namespaces(context, &to->linux->security_context->namespace_options);
    return 0;
}

/* A container's profiles stand in the annotations of its sandbox. */
static int raise_create_container(const SeedContext *context, const ProtobufCMessage *seed,
                                  ProtobufCMessage *v1, Failure *why)
{
    Runtime__V1__CreateContainerRequest *to = (Runtime__V1__CreateContainerRequest *)v1;
    const Runtime__V1__PodSandboxConfig *sandbox = to->sandbox_config;
    Runtime__V1__LinuxContainerSecurityContext *security;
    const char *name;
    int r;

    (void)seed;
    if (!to->config || !to->config->metadata || !sandbox)
        return 0;
    security = to->config->linux->security_context;
    name = to->config->metadata->name;
    r = annotation_read_seccomp(sandbox->annotations, sandbox->n_annotations, name,
                                context->settings->seccomp_profile_dir, context->arena,
                                &security->seccomp, why);
    if (r < 0)
        return r;
    return annotation_read_apparmor(sandbox->annotations, sandbox->n_annotations, name,
                                    context->arena, &security->apparmor, why);
}

static int raise_key_value(const SeedContext *context, const ProtobufCMessage *seed,
                           ProtobufCMessage *v1, Failure *why)
{
    const Runtime__KeyValue *from = (const Runtime__KeyValue *)seed;
    Runtime__V1__KeyValue *to = (Runtime__V1__KeyValue *)v1;

    (void)context;
    (void)why;
    if (from->value)
        to->value = (ProtobufCBinaryData){strlen(from->value), (uint8_t *)from->value};
    return 0;
}

static int check_state(const ProtobufCEnumDescriptor *states, const char *field, int state,
                       Failure *why)
{
    if (!protobuf_c_enum_descriptor_get_value(states, state))
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "%s is %d, which is no %s", field, state,
                           states->short_name);
    return 0;
}

static int raise_sandbox_filter(const SeedContext *context, const ProtobufCMessage *seed,
                                ProtobufCMessage *v1, Failure *why)
{
    const Runtime__PodSandboxFilter *from = (const Runtime__PodSandboxFilter *)seed;
    Runtime__V1__PodSandboxFilter *to = (Runtime__V1__PodSandboxFilter *)v1;
    int r;

    if (!from->has_state)
        return 0;
    r = check_state(&runtime__pod_sandbox_state__descriptor, "PodSandboxFilter.state",
                    (int)from->state, why);
    if (r < 0)
        return r;
    NEW_MESSAGE(context, to->state, runtime__v1__pod_sandbox_state_value__init);
    to->state->state = (Runtime__V1__PodSandboxState)from->state;
    return 0;
}

static int raise_container_filter(const SeedContext *context, const ProtobufCMessage *seed,
                                  ProtobufCMessage *v1, Failure *why)
{
    const Runtime__ContainerFilter *from = (const Runtime__ContainerFilter *)seed;
    Runtime__V1__ContainerFilter *to = (Runtime__V1__ContainerFilter *)v1;
    int r;

    if (!from->has_state)
        return 0;
    r = check_state(&runtime__container_state__descriptor, "ContainerFilter.state",
                    (int)from->state, why);
    if (r < 0)
        return r;
    NEW_MESSAGE(context, to->state, runtime__v1__container_state_value__init);
    to->state->state = (Runtime__V1__ContainerState)from->state;
    return 0;
}

/* The seed's clients always want the output; a terminal has no stderr of its own. */
static int raise_exec(const SeedContext *context, const ProtobufCMessage *seed,
                      ProtobufCMessage *v1, Failure *why)
{
    Runtime__V1__ExecRequest *to = (Runtime__V1__ExecRequest *)v1;

    (void)context;
    (void)seed;
    (void)why;
    to->stdout = 1;
    to->stderr = !to->tty;
    return 0;
}

static int raise_attach(const SeedContext *context, const ProtobufCMessage *seed,
                        ProtobufCMessage *v1, Failure *why)
{
    Runtime__V1__AttachRequest *to = (Runtime__V1__AttachRequest *)v1;

    (void)context;
    (void)seed;
    (void)why;
    to->stdout = 1;
    to->stderr = !to->tty;
    return 0;
}

static void lower_image(const SeedContext *context, const ProtobufCMessage *v1,
                        ProtobufCMessage *seed)
{
    const Runtime__V1__Image *from = (const Runtime__V1__Image *)v1;
    Runtime__Image *to = (Runtime__Image *)seed;

    (void)context;
    if (from->uid) {
        to->has_uid = 1;
        to->uid = from->uid->value;
    }
    /* Clients take a name that is set for the answer, an empty one too. */
    if (to->username && !*to->username)
        to->username = NULL;
}

static void lower_sandbox_status(const SeedContext *context, const ProtobufCMessage *v1,
                                 ProtobufCMessage *seed)
{
    const Runtime__V1__PodSandboxStatus *from = (const Runtime__V1__PodSandboxStatus *)v1;
    Runtime__PodSandboxStatus *to = (Runtime__PodSandboxStatus *)seed;
    Runtime__Namespace *namespaces = to->linux ? to->linux->namespaces : NULL;

    if (!namespaces)
        return;
    if (namespaces->options && namespaces->options->host_network)
        namespaces->network = (char *)"/proc/1/ns/net";
    else if (from->state == RUNTIME__V1__POD_SANDBOX_STATE__SANDBOX_READY)
        namespaces->network = arena_print(context->arena, "%s/" LAYOUT_PODS "/%s/" LAYOUT_NETNS,
                                          context->settings->run_dir, from->id);
    else
        namespaces->network = (char *)"";
}

static const SeedRule rules[] = {
    {&runtime__namespace_option__descriptor, raise_namespace_option, lower_namespace_option},
    {&runtime__linux_sandbox_security_context__descriptor, raise_sandbox_security, NULL},
    {&runtime__pod_sandbox_config__descriptor, raise_sandbox_config, NULL},
    {&runtime__linux_container_security_context__descriptor, raise_container_security, NULL},
    {&runtime__container_config__descriptor, raise_container_config, NULL},
    {&runtime__create_container_request__descriptor, raise_create_container, NULL},
    {&runtime__key_value__descriptor, raise_key_value, NULL},
    {&runtime__pod_sandbox_filter__descriptor, raise_sandbox_filter, NULL},
    {&runtime__container_filter__descriptor, raise_container_filter, NULL},
    {&runtime__exec_request__descriptor, raise_exec, NULL},
    {&runtime__attach_request__descriptor, raise_attach, NULL},
    {&runtime__image__descriptor, NULL, lower_image},
    {&runtime__pod_sandbox_status__descriptor, NULL, lower_sandbox_status},
};

static const struct {
    const ProtobufCMessageDescriptor *message;
    const char *field;
    ConvertFate fate;
    const char *reason;
} fates[] = {
    {&runtime__namespace_option__descriptor, "host_network", CONVERT_RULED, "network: NODE or POD"},
    {&runtime__namespace_option__descriptor, "host_pid", CONVERT_RULED, "pid: NODE or CONTAINER"},
    {&runtime__namespace_option__descriptor, "host_ipc", CONVERT_RULED, "ipc: NODE or POD"},
    {&runtime__linux_sandbox_security_context__descriptor, "run_as_user", CONVERT_RULED,
     "Int64Value, absent if unset"},
    {&runtime__linux_container_security_context__descriptor, "run_as_user", CONVERT_RULED,
     "Int64Value, absent if unset"},
    {&runtime__pod_sandbox_config__descriptor, "annotations", CONVERT_RULED,
     "carried; sysctls and profiles among them also become fields"},
    {&runtime__key_value__descriptor, "value", CONVERT_RULED, "bytes instead of a string"},
    {&runtime__pod_sandbox_filter__descriptor, "state", CONVERT_RULED,
     "PodSandboxStateValue, absent if unset"},
    {&runtime__container_filter__descriptor, "state", CONVERT_RULED,
     "ContainerStateValue, absent if unset"},
    {&runtime__image__descriptor, "uid", CONVERT_RULED, "unset where there is no Int64Value"},
    {&runtime__image__descriptor, "username", CONVERT_RULED, "unset where it is empty"},
    {&runtime__namespace__descriptor, "network", CONVERT_RULED,
     "made from the pod's id: runtime.v1 has no such field"},
};

const SeedRule *seed_find_rule(const ProtobufCMessageDescriptor *message)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
        if (rules[i].message == message)
            return &rules[i];
    }
    return NULL;
}

int seed_find_fate(const ProtobufCMessageDescriptor *message, const char *field,
                   ConvertFate *ret_fate, const char **ret_reason)
{
    for (size_t i = 0; i < sizeof(fates) / sizeof(*fates); i++) {
        if (fates[i].message == message && strcmp(fates[i].field, field) == 0) {
            *ret_fate = fates[i].fate;
            *ret_reason = fates[i].reason;
            return 0;
        }
    }
    return -ENOENT;
}
