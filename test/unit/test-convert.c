/* SPDX-License-Identifier: Apache-2.0 */
/* Every field of the seed is accounted for; the rules do what they say; and whatever is carried
 * arrives, in messages with random contents, both ways. */
#include "dispatcher/api/convert.h"

#include <stdlib.h>

#include "runtime.pb-c.h"
#include "runtime_v1.pb-c.h"
#include "shared/cleanup.h"
#include "test.h"

typedef ProtobufCMessageDescriptor MessageDescriptor;
typedef ProtobufCFieldDescriptor FieldDescriptor;
typedef ProtobufCServiceDescriptor ServiceDescriptor;

static const ConvertSettings settings = {
    .run_dir = "/run/podmon",
    .seccomp_profile_dir = "/var/lib/kubelet/seccomp",
};

static const ServiceDescriptor *const services[][2] = {
    {&runtime__runtime_service__descriptor, &runtime__v1__runtime_service__descriptor},
    {&runtime__image_service__descriptor, &runtime__v1__image_service__descriptor},
};

/* Calls `visit` for the messages of every method of the seed and those of the same method in
 * runtime.v1. */
typedef void (*Visit)(const MessageDescriptor *seed, const MessageDescriptor *v1, bool request);

static void each_method(Visit visit)
{
    for (size_t i = 0; i < sizeof(services) / sizeof(*services); i++) {
        for (unsigned j = 0; j < services[i][0]->n_methods; j++) {
            const ProtobufCMethodDescriptor *seed = &services[i][0]->methods[j];
            const ProtobufCMethodDescriptor *v1 =
                protobuf_c_service_descriptor_get_method_by_name(services[i][1], seed->name);

            CHECK(v1);
            visit(seed->input, v1->input, true);
            visit(seed->output, v1->output, false);
        }
    }
}

/* Accounting */

enum { SEED_FIELDS = 199 };

static char seen[1024][96];
static size_t seen_count;

static bool is_seen(const char *name)
{
    for (size_t i = 0; i < seen_count; i++) {
        if (strcmp(seen[i], name) == 0)
            return true;
    }
    return false;
}

static void account(const MessageDescriptor *seed, const MessageDescriptor *v1, bool request)
{
    for (unsigned i = 0; i < seed->n_fields; i++) {
        const FieldDescriptor *field = &seed->fields[i];
        const FieldDescriptor *counterpart =
            protobuf_c_message_descriptor_get_field_by_name(v1, field->name);
        const char *reason = NULL;
        ConvertFate fate;

        if (convert_account(seed, v1, field, &fate, &reason) < 0)
            printf("  %s.%s is neither carried nor ruled nor dropped\n", seed->short_name,
                   field->name);
        CHECK(convert_account(seed, v1, field, &fate, &reason) >= 0);
        CHECK((fate == CONVERT_CARRIED) == (reason == NULL));
        CHECK(seen_count < sizeof(seen) / sizeof(*seen));
        (void)snprintf(seen[seen_count++], sizeof(*seen), "%s.%s", seed->short_name, field->name);
        if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
            CHECK(counterpart && counterpart->type == PROTOBUF_C_TYPE_MESSAGE);
            account(field->descriptor, counterpart->descriptor, request);
        }
    }
}

/* Columns of the table: kind, container, number, label, type, name. */
enum { COLUMN_KIND, COLUMN_CONTAINER, COLUMN_NAME = 5, COLUMNS };

TEST(every_field_of_the_seed_has_a_fate)
{
    AUTO_FCLOSE FILE *table = fopen(TEST_SOURCE_DIR "/proto/tables/runtime.tsv", "re");
    char line[256];
    size_t fields = 0;

    CHECK(table);
    each_method(account);
    while (fgets(line, sizeof(line), table)) {
        char *columns[COLUMNS] = {NULL}, *rest = line, name[2 * sizeof(line)];

        for (size_t i = 0; i < COLUMNS; i++)
            columns[i] = strsep(&rest, "\t\n");
        if (strcmp(columns[COLUMN_KIND], "field") != 0)
            continue;
        CHECK(columns[COLUMN_NAME]);
        fields++;
        (void)snprintf(name, sizeof(name), "%s.%s", columns[COLUMN_CONTAINER],
                       columns[COLUMN_NAME]);
        if (!is_seen(name))
            printf("  %s is in no message of any method\n", name);
        CHECK(is_seen(name));
    }
    CHECK_EQ(fields, SEED_FIELDS);
}

TEST(unknown_fields_are_no_fate)
{
    const FieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(&runtime__exec_request__descriptor, "cmd");
    const char *reason;
    ConvertFate fate;

    CHECK(convert_account(&runtime__exec_request__descriptor,
                          &runtime__v1__version_request__descriptor, field, &fate, &reason) < 0);
}

/* Random messages */

static uint32_t random_state = 1;

static uint32_t random_number(uint32_t below)
{
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % below;
}

static void *member_of(const ProtobufCMessage *message, unsigned offset)
{
    return (char *)message + offset;
}

static ProtobufCMessage *random_message(Arena *arena, const MessageDescriptor *descriptor);

static void random_value(Arena *arena, const FieldDescriptor *field, void *target)
{
    const ProtobufCEnumDescriptor *values = field->descriptor;
    ProtobufCBinaryData bytes;

    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        *(ProtobufCMessage **)target = random_message(arena, field->descriptor);
    } else if (field->type == PROTOBUF_C_TYPE_STRING) {
        *(char **)target = random_number(4) == 0 ? arena_copy(arena, "")
                                                 : arena_print(arena, "s%u", random_number(1000));
    } else if (field->type == PROTOBUF_C_TYPE_BYTES) {
        bytes.len = random_number(9);
        bytes.data = arena_alloc(arena, 9);
        memset(bytes.data, (int)random_number(256), bytes.len);
        *(ProtobufCBinaryData *)target = bytes;
    } else if (field->type == PROTOBUF_C_TYPE_ENUM) {
        *(int *)target = values->values[random_number(2)].value;
    } else if (field->type == PROTOBUF_C_TYPE_BOOL) {
        *(protobuf_c_boolean *)target = (protobuf_c_boolean)random_number(2);
    } else if (field->type == PROTOBUF_C_TYPE_INT64 || field->type == PROTOBUF_C_TYPE_UINT64) {
        *(int64_t *)target = (int64_t)random_number(1000) * 10000000000 - 5000000000;
    } else {
        *(int32_t *)target = (int32_t)random_number(100000);
    }
}

static size_t size_of(const FieldDescriptor *field)
{
    if (field->type == PROTOBUF_C_TYPE_BYTES)
        return sizeof(ProtobufCBinaryData);
    if (field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE ||
        field->type == PROTOBUF_C_TYPE_INT64 || field->type == PROTOBUF_C_TYPE_UINT64)
        return 8;
    return 4;
}

static bool has_flag(const FieldDescriptor *field)
{
    return field->label == PROTOBUF_C_LABEL_OPTIONAL && field->type != PROTOBUF_C_TYPE_STRING &&
           field->type != PROTOBUF_C_TYPE_MESSAGE;
}

static ProtobufCMessage *random_message(Arena *arena, const MessageDescriptor *descriptor)
{
    ProtobufCMessage *message = arena_alloc(arena, descriptor->sizeof_message);

    protobuf_c_message_init(descriptor, message);
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const FieldDescriptor *field = &descriptor->fields[i];

        if (random_number(5) == 0)
            continue;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t count = random_number(3);
            char *elements = arena_alloc_array(arena, count + 1, size_of(field));

            for (size_t j = 0; j < count; j++)
                random_value(arena, field, elements + j * size_of(field));
            *(size_t *)member_of(message, field->quantifier_offset) = count;
            *(char **)member_of(message, field->offset) = elements;
            continue;
        }
        if (has_flag(field))
            *(protobuf_c_boolean *)member_of(message, field->quantifier_offset) = 1;
        random_value(arena, field, member_of(message, field->offset));
    }
    return message;
}

/* What was carried must be equal. `lowered`: the seed's message was made from the other. */
static void compare(const ProtobufCMessage *seed, const ProtobufCMessage *v1, bool lowered);

static void compare_value(const FieldDescriptor *field, const void *seed, const void *v1,
                          bool lowered)
{
    const ProtobufCBinaryData *one = seed, *other = v1;

    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        const ProtobufCMessage *message = *(ProtobufCMessage *const *)seed;
        const ProtobufCMessage *counterpart = *(ProtobufCMessage *const *)v1;

        CHECK(counterpart || !message);
        CHECK(message || !lowered || !counterpart);
        if (message)
            compare(message, counterpart, lowered);
    } else if (field->type == PROTOBUF_C_TYPE_STRING) {
        const char *string = *(char *const *)seed;

        CHECK(string || !lowered);
        CHECK_STR(string ? string : "", *(char *const *)v1);
    } else if (field->type == PROTOBUF_C_TYPE_BYTES) {
        CHECK_EQ(one->len, other->len);
        CHECK(one->len == 0 || memcmp(one->data, other->data, one->len) == 0);
    } else {
        CHECK(memcmp(seed, v1, size_of(field)) == 0);
    }
}

static void compare(const ProtobufCMessage *seed, const ProtobufCMessage *v1, bool lowered)
{
    for (unsigned i = 0; i < seed->descriptor->n_fields && !test_failed; i++) {
        const FieldDescriptor *field = &seed->descriptor->fields[i];
        const FieldDescriptor *other =
            protobuf_c_message_descriptor_get_field_by_name(v1->descriptor, field->name);
        const char *one = member_of(seed, field->offset);
        const char *two = other ? member_of(v1, other->offset) : NULL;
        const char *reason;
        ConvertFate fate;

        CHECK(convert_account(seed->descriptor, v1->descriptor, field, &fate, &reason) >= 0);
        if (fate != CONVERT_CARRIED)
            continue;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t count = *(size_t *)member_of(seed, field->quantifier_offset);

            CHECK_EQ(count, *(size_t *)member_of(v1, other->quantifier_offset));
            for (size_t j = 0; j < count; j++)
                compare_value(field, *(char *const *)one + j * size_of(field),
                              *(char *const *)two + j * size_of(field), lowered);
            continue;
        }
        if (has_flag(field) && lowered)
            CHECK(*(protobuf_c_boolean *)member_of(seed, field->quantifier_offset));
        compare_value(field, one, two, lowered);
    }
    if (test_failed)
        printf("  in %s\n", seed->descriptor->name);
}

enum { ROUNDS = 200 };

static void carry(const MessageDescriptor *seed, const MessageDescriptor *v1, bool request)
{
    for (int round = 0; round < ROUNDS && !test_failed; round++) {
        AUTO_ARENA Arena *arena = arena_new();
        ProtobufCMessage *from, *to;
        Failure why = {.code = FAILURE_NONE};

        from = random_message(arena, request ? seed : v1);
        CHECK_EQ(request ? convert_request(&settings, arena, from, v1, &to, &why)
                         : convert_response(&settings, arena, from, seed, &to, &why),
                 0);
        CHECK(to->descriptor == (request ? v1 : seed));
        if (request)
            compare(from, to, false);
        else
            compare(to, from, true);
    }
}

TEST(what_is_carried_arrives)
{
    each_method(carry);
}

/* Rules */

static ProtobufCMessage *raise(Arena *arena, void *seed, const MessageDescriptor *v1, Failure *why)
{
    ProtobufCMessage *to = NULL;

    if (convert_request(&settings, arena, seed, v1, &to, why) < 0)
        return NULL;
    return to;
}

static ProtobufCMessage *lower(Arena *arena, void *v1, const MessageDescriptor *seed)
{
    ProtobufCMessage *to = NULL;
    Failure why;

    if (convert_response(&settings, arena, v1, seed, &to, &why) < 0)
        return NULL;
    return to;
}

TEST(host_namespaces_become_modes)
{
    AUTO_ARENA Arena *arena = arena_new();
    Runtime__NamespaceOption seed = RUNTIME__NAMESPACE_OPTION__INIT, *back;
    Runtime__V1__NamespaceOption *v1;

    for (int bits = 0; bits < 8; bits++) {
        Failure why;

        seed.has_host_network = seed.has_host_pid = seed.has_host_ipc = 1;
        seed.host_network = bits & 1;
        seed.host_pid = bits >> 1 & 1;
        seed.host_ipc = bits >> 2 & 1;
        v1 = (Runtime__V1__NamespaceOption *)raise(
            arena, &seed, &runtime__v1__namespace_option__descriptor, &why);
        CHECK(v1);
        CHECK_EQ(v1->network, seed.host_network ? RUNTIME__V1__NAMESPACE_MODE__NODE
                                                : RUNTIME__V1__NAMESPACE_MODE__POD);
        CHECK_EQ(v1->pid, seed.host_pid ? RUNTIME__V1__NAMESPACE_MODE__NODE
                                        : RUNTIME__V1__NAMESPACE_MODE__CONTAINER);
        CHECK_EQ(v1->ipc, seed.host_ipc ? RUNTIME__V1__NAMESPACE_MODE__NODE
                                        : RUNTIME__V1__NAMESPACE_MODE__POD);
        back = (Runtime__NamespaceOption *)lower(arena, v1, &runtime__namespace_option__descriptor);
        CHECK(back && back->has_host_network && back->has_host_pid && back->has_host_ipc);
        CHECK_EQ(back->host_network, seed.host_network);
        CHECK_EQ(back->host_pid, seed.host_pid);
        CHECK_EQ(back->host_ipc, seed.host_ipc);
    }
}

TEST(users_are_wrapped)
{
    AUTO_ARENA Arena *arena = arena_new();
    Runtime__LinuxContainerSecurityContext seed = RUNTIME__LINUX_CONTAINER_SECURITY_CONTEXT__INIT;
    Runtime__LinuxSandboxSecurityContext sandbox = RUNTIME__LINUX_SANDBOX_SECURITY_CONTEXT__INIT;
    Runtime__V1__LinuxContainerSecurityContext *v1;
    Runtime__V1__LinuxSandboxSecurityContext *v1_sandbox;
    Failure why;

    v1 = (Runtime__V1__LinuxContainerSecurityContext *)raise(
        arena, &seed, &runtime__v1__linux_container_security_context__descriptor, &why);
    CHECK(v1 && !v1->run_as_user);
    seed.has_run_as_user = sandbox.has_run_as_user = 1; /* 0 is a user */
    v1 = (Runtime__V1__LinuxContainerSecurityContext *)raise(
        arena, &seed, &runtime__v1__linux_container_security_context__descriptor, &why);
    CHECK(v1 && v1->run_as_user);
    CHECK_EQ(v1->run_as_user->value, 0);
    sandbox.run_as_user = 4711;
    v1_sandbox = (Runtime__V1__LinuxSandboxSecurityContext *)raise(
        arena, &sandbox, &runtime__v1__linux_sandbox_security_context__descriptor, &why);
    CHECK(v1_sandbox && v1_sandbox->run_as_user);
    CHECK_EQ(v1_sandbox->run_as_user->value, 4711);
}

TEST(states_of_filters_are_wrapped)
{
    AUTO_ARENA Arena *arena = arena_new();
    Runtime__PodSandboxFilter pods = RUNTIME__POD_SANDBOX_FILTER__INIT;
    Runtime__ContainerFilter containers = RUNTIME__CONTAINER_FILTER__INIT;
    Runtime__V1__PodSandboxFilter *v1_pods;
    Runtime__V1__ContainerFilter *v1_containers;
    Failure why;

    v1_pods = (Runtime__V1__PodSandboxFilter *)raise(
        arena, &pods, &runtime__v1__pod_sandbox_filter__descriptor, &why);
    CHECK(v1_pods && !v1_pods->state);
    pods.has_state = containers.has_state = 1;
    v1_pods = (Runtime__V1__PodSandboxFilter *)raise(
        arena, &pods, &runtime__v1__pod_sandbox_filter__descriptor, &why);
    CHECK(v1_pods && v1_pods->state);
    CHECK_EQ(v1_pods->state->state, RUNTIME__V1__POD_SANDBOX_STATE__SANDBOX_READY);
    containers.state = RUNTIME__CONTAINER_STATE__CONTAINER_EXITED;
    v1_containers = (Runtime__V1__ContainerFilter *)raise(
        arena, &containers, &runtime__v1__container_filter__descriptor, &why);
    CHECK(v1_containers && v1_containers->state);
    CHECK_EQ(v1_containers->state->state, RUNTIME__V1__CONTAINER_STATE__CONTAINER_EXITED);

    pods.state = (Runtime__PodSandboxState)7;
    CHECK(!raise(arena, &pods, &runtime__v1__pod_sandbox_filter__descriptor, &why));
    CHECK_EQ(why.code, FAILURE_INVALID_ARGUMENT);
    CHECK_STR(why.text, "PodSandboxFilter.state is 7, which is no PodSandboxState");
}

TEST(enums_without_a_counterpart_are_refused)
{
    AUTO_ARENA Arena *arena = arena_new();
    Runtime__PortMapping seed = RUNTIME__PORT_MAPPING__INIT;
    Failure why;

    seed.has_protocol = 1;
    seed.protocol = (Runtime__Protocol)9;
    CHECK(!raise(arena, &seed, &runtime__v1__port_mapping__descriptor, &why));
    CHECK_EQ(why.code, FAILURE_INVALID_ARGUMENT);
    CHECK_STR(why.text, "PortMapping.protocol is 9, which is no Protocol");
}

TEST(environment_becomes_bytes)
{
    AUTO_ARENA Arena *arena = arena_new();
    Runtime__KeyValue seed = RUNTIME__KEY_VALUE__INIT;
    Runtime__V1__KeyValue *v1;
    Failure why;

    seed.key = (char *)"A";
    seed.value = (char *)"b c";
    v1 = (Runtime__V1__KeyValue *)raise(arena, &seed, &runtime__v1__key_value__descriptor, &why);
    CHECK(v1);
    CHECK_STR(v1->key, "A");
    CHECK_EQ(v1->value.len, 3);
    CHECK(memcmp(v1->value.data, "b c", 3) == 0);
}

TEST(images_name_a_user_once)
{
    AUTO_ARENA Arena *arena = arena_new();
    Runtime__V1__Image v1 = RUNTIME__V1__IMAGE__INIT;
    Runtime__V1__Int64Value uid = RUNTIME__V1__INT64_VALUE__INIT;
    Runtime__Image *seed;

    v1.username = (char *)"nobody";
    seed = (Runtime__Image *)lower(arena, &v1, &runtime__image__descriptor);
    CHECK(seed && !seed->has_uid && seed->has_size);
    CHECK_STR(seed->username, "nobody");
    v1.username = (char *)"";
    v1.uid = &uid;
    seed = (Runtime__Image *)lower(arena, &v1, &runtime__image__descriptor);
    CHECK(seed && seed->has_uid && !seed->username);
    CHECK_EQ(seed->uid, 0);
}

TEST(network_namespaces_have_a_path)
{
    AUTO_ARENA Arena *arena = arena_new();
    Runtime__V1__PodSandboxStatus v1 = RUNTIME__V1__POD_SANDBOX_STATUS__INIT;
    Runtime__V1__LinuxPodSandboxStatus linux_status = RUNTIME__V1__LINUX_POD_SANDBOX_STATUS__INIT;
    Runtime__V1__Namespace namespaces = RUNTIME__V1__NAMESPACE__INIT;
    Runtime__V1__NamespaceOption options = RUNTIME__V1__NAMESPACE_OPTION__INIT;
    const MessageDescriptor *target = &runtime__pod_sandbox_status__descriptor;
    Runtime__PodSandboxStatus *seed;

    v1.id = (char *)"0123";
    v1.linux = &linux_status;
    linux_status.namespaces = &namespaces;
    namespaces.options = &options;
    seed = (Runtime__PodSandboxStatus *)lower(arena, &v1, target);
    CHECK(seed);
    CHECK_STR(seed->linux->namespaces->network, "/run/podmon/pods/0123/netns");
    v1.state = RUNTIME__V1__POD_SANDBOX_STATE__SANDBOX_NOTREADY;
    seed = (Runtime__PodSandboxStatus *)lower(arena, &v1, target);
    CHECK(seed);
    CHECK_STR(seed->linux->namespaces->network, "");
    options.network = RUNTIME__V1__NAMESPACE_MODE__NODE;
    seed = (Runtime__PodSandboxStatus *)lower(arena, &v1, target);
    CHECK(seed);
    CHECK_STR(seed->linux->namespaces->network, "/proc/1/ns/net");
}

TEST(streams_are_asked_for)
{
    AUTO_ARENA Arena *arena = arena_new();
    Runtime__ExecRequest exec = RUNTIME__EXEC_REQUEST__INIT;
    Runtime__AttachRequest attach = RUNTIME__ATTACH_REQUEST__INIT;

    for (int tty = 0; tty < 2; tty++) {
        Runtime__V1__ExecRequest *v1_exec;
        Runtime__V1__AttachRequest *v1_attach;
        Failure why;

        exec.has_tty = attach.has_tty = 1;
        exec.tty = attach.tty = tty;
        v1_exec = (Runtime__V1__ExecRequest *)raise(arena, &exec,
                                                    &runtime__v1__exec_request__descriptor, &why);
        v1_attach = (Runtime__V1__AttachRequest *)raise(
            arena, &attach, &runtime__v1__attach_request__descriptor, &why);
        CHECK(v1_exec && v1_attach);
        CHECK(v1_exec->stdout && v1_attach->stdout);
        CHECK_EQ(v1_exec->stderr, !tty);
        CHECK_EQ(v1_attach->stderr, !tty);
    }
}

/* Annotations and defaults of a sandbox and its container */

typedef Runtime__PodSandboxConfig__AnnotationsEntry Entry;

enum { ENTRIES_MAX = 6 };

typedef struct Sandbox {
    Runtime__PodSandboxConfig config;
    Entry entries[ENTRIES_MAX], *pointers[ENTRIES_MAX];
} Sandbox;

static void sandbox_init(Sandbox *sandbox)
{
    runtime__pod_sandbox_config__init(&sandbox->config);
    sandbox->config.annotations = sandbox->pointers;
}

static void annotate(Sandbox *sandbox, const char *key, const char *value)
{
    Entry *entry = &sandbox->entries[sandbox->config.n_annotations];

    runtime__pod_sandbox_config__annotations_entry__init(entry);
    entry->key = (char *)key;
    entry->value = (char *)value;
    sandbox->pointers[sandbox->config.n_annotations++] = entry;
}

static Runtime__V1__PodSandboxConfig *raise_sandbox(Arena *arena, Sandbox *sandbox, Failure *why)
{
    return (Runtime__V1__PodSandboxConfig *)raise(
        arena, &sandbox->config, &runtime__v1__pod_sandbox_config__descriptor, why);
}

TEST(an_empty_sandbox_has_the_seeds_defaults)
{
    AUTO_ARENA Arena *arena = arena_new();
    Runtime__V1__PodSandboxConfig *v1;
    Sandbox sandbox;
    Failure why;

    sandbox_init(&sandbox);
    v1 = raise_sandbox(arena, &sandbox, &why);
    CHECK(v1);
    CHECK_EQ(v1->linux->n_sysctls, 0);
    CHECK(!v1->linux->security_context->seccomp);
    CHECK_EQ(v1->linux->security_context->namespace_options->pid,
             RUNTIME__V1__NAMESPACE_MODE__CONTAINER);
}

TEST(sysctls_come_from_annotations)
{
    AUTO_ARENA Arena *arena = arena_new();
    Runtime__V1__PodSandboxConfig *v1;
    Sandbox sandbox;
    Failure why;

    sandbox_init(&sandbox);
    annotate(&sandbox, "security.alpha.kubernetes.io/sysctls",
             "kernel.shm_rmid_forced=1,net.ipv4.ip_local_port_range=1024 65535");
    annotate(&sandbox, "security.alpha.kubernetes.io/unsafe-sysctls", "kernel.msgmax=");
    v1 = raise_sandbox(arena, &sandbox, &why);
    CHECK(v1);
    CHECK_EQ(v1->n_annotations, 2);
    CHECK_STR(v1->annotations[1]->value, "kernel.msgmax=");
    CHECK_EQ(v1->linux->n_sysctls, 3);
    CHECK_STR(v1->linux->sysctls[0]->key, "kernel.shm_rmid_forced");
    CHECK_STR(v1->linux->sysctls[0]->value, "1");
    CHECK_STR(v1->linux->sysctls[1]->value, "1024 65535");
    CHECK_STR(v1->linux->sysctls[2]->key, "kernel.msgmax");
    CHECK_STR(v1->linux->sysctls[2]->value, "");
}

TEST(annotations_that_make_no_sense_are_refused)
{
    static const struct {
        const char *key, *value, *text;
    } cases[] = {
        {"security.alpha.kubernetes.io/sysctls", "a=1,b",
         "annotation security.alpha.kubernetes.io/sysctls has \"b\", must be name=value"},
        {"security.alpha.kubernetes.io/unsafe-sysctls", "=1",
         "annotation security.alpha.kubernetes.io/unsafe-sysctls has \"=1\", must be name=value"},
        {"security.alpha.kubernetes.io/seccomp/pod", "strict",
         "annotation security.alpha.kubernetes.io/seccomp/pod is \"strict\", must be "
         "runtime/default, unconfined or localhost/<profile>"},
        {"security.alpha.kubernetes.io/seccomp/pod", "localhost/../../etc/shadow",
         "annotation security.alpha.kubernetes.io/seccomp/pod is \"localhost/../../etc/shadow\", "
         "must name a file below /var/lib/kubelet/seccomp"},
        {"security.alpha.kubernetes.io/seccomp/pod", "localhost/",
         "annotation security.alpha.kubernetes.io/seccomp/pod is \"localhost/\", must be "
         "runtime/default, unconfined or localhost/<profile>"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        AUTO_ARENA Arena *arena = arena_new();
        Sandbox sandbox;
        Failure why;

        sandbox_init(&sandbox);
        annotate(&sandbox, cases[i].key, cases[i].value);
        CHECK(!raise_sandbox(arena, &sandbox, &why));
        CHECK_EQ(why.code, FAILURE_INVALID_ARGUMENT);
        CHECK_STR(why.text, cases[i].text);
    }
}

static Runtime__V1__LinuxContainerSecurityContext *raise_container(Arena *arena, Sandbox *sandbox,
                                                                   Failure *why)
{
    Runtime__CreateContainerRequest request = RUNTIME__CREATE_CONTAINER_REQUEST__INIT;
    Runtime__ContainerConfig config = RUNTIME__CONTAINER_CONFIG__INIT;
    Runtime__ContainerMetadata metadata = RUNTIME__CONTAINER_METADATA__INIT;
    Runtime__V1__CreateContainerRequest *v1;

    metadata.name = (char *)"web";
    config.metadata = &metadata;
    request.config = &config;
    request.sandbox_config = &sandbox->config;
    v1 = (Runtime__V1__CreateContainerRequest *)raise(
        arena, &request, &runtime__v1__create_container_request__descriptor, why);
    return v1 ? v1->config->linux->security_context : NULL;
}

TEST(profiles_come_from_annotations)
{
    AUTO_ARENA Arena *arena = arena_new();
    Runtime__V1__LinuxContainerSecurityContext *security;
    Runtime__V1__PodSandboxConfig *pod;
    Sandbox sandbox;
    Failure why;

    sandbox_init(&sandbox);
    annotate(&sandbox, "security.alpha.kubernetes.io/seccomp/pod", "runtime/default");
    annotate(&sandbox, "container.apparmor.security.beta.kubernetes.io/web", "localhost/k8s-web");
    annotate(&sandbox, "container.apparmor.security.beta.kubernetes.io/other", "nonsense");
    pod = raise_sandbox(arena, &sandbox, &why);
    CHECK(pod && pod->linux->security_context->seccomp);
    CHECK_EQ(pod->linux->security_context->seccomp->profile_type,
             RUNTIME__V1__SECURITY_PROFILE__PROFILE_TYPE__RuntimeDefault);
    security = raise_container(arena, &sandbox, &why);
    CHECK(security && security->seccomp && security->apparmor);
    CHECK_EQ(security->seccomp->profile_type,
             RUNTIME__V1__SECURITY_PROFILE__PROFILE_TYPE__RuntimeDefault);
    CHECK_EQ(security->apparmor->profile_type,
             RUNTIME__V1__SECURITY_PROFILE__PROFILE_TYPE__Localhost);
    CHECK_STR(security->apparmor->localhost_ref, "k8s-web");

    /* The container's own wins over the pod's. */
    annotate(&sandbox, "security.alpha.kubernetes.io/seccomp/container/web",
             "localhost/profiles/web.json");
    security = raise_container(arena, &sandbox, &why);
    CHECK(security && security->seccomp);
    CHECK_EQ(security->seccomp->profile_type,
             RUNTIME__V1__SECURITY_PROFILE__PROFILE_TYPE__Localhost);
    CHECK_STR(security->seccomp->localhost_ref, "/var/lib/kubelet/seccomp/profiles/web.json");
    annotate(&sandbox, "security.alpha.kubernetes.io/seccomp/container/web", "unconfined");
    security = raise_container(arena, &sandbox, &why);
    CHECK(security && security->seccomp);
    CHECK_EQ(security->seccomp->profile_type,
             RUNTIME__V1__SECURITY_PROFILE__PROFILE_TYPE__Unconfined);
}

TEST(an_empty_container_has_the_seeds_defaults)
{
    AUTO_ARENA Arena *arena = arena_new();
    Runtime__V1__LinuxContainerSecurityContext *security;
    Sandbox sandbox;
    Failure why;

    sandbox_init(&sandbox);
    security = raise_container(arena, &sandbox, &why);
    CHECK(security && !security->seccomp && !security->apparmor && !security->run_as_user);
    CHECK_EQ(security->namespace_options->pid, RUNTIME__V1__NAMESPACE_MODE__CONTAINER);
    CHECK_EQ(security->namespace_options->network, RUNTIME__V1__NAMESPACE_MODE__POD);
}

TEST_MAIN
