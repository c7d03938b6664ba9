/* SPDX-License-Identifier: Apache-2.0 */
/* Records in, what clients see out: each line is a field of the answer and what it must be. */
#include "dispatcher/cri/raise.h"

#include "test/unit/fields.h"
#include "test/unit/test.h"

typedef struct Expectation {
    const char *record; /* assignments on top of the usual record */
    const char *path;
    const char *value;
} Expectation;

static const char POD[] =
    "phase=1|created_at=1700000000000000001|ips[0]=10.1.2.3|ips[1]=fd00::3|ips[2]=10.9.9.9"
    "|network_namespace=/run/x/netns|spec.id=feed|spec.name.namespace=ns|spec.name.name=n"
    "|spec.name.uid=u|spec.name.attempt=4|spec.labels[0].key=a|spec.labels[0].value=b"
    "|spec.annotations[0].key=io.x/y|spec.annotations[0].value={\"a\": [1]}\n"
    "|spec.namespaces.network=2|spec.namespaces.pid=1|spec.namespaces.ipc=0"
    "|spec.runtime_handler=h";

static const Expectation POD_CASES[] = {
    {"", "id", "feed"},
    {"", "metadata.name", "n"},
    {"", "metadata.namespace", "ns"},
    {"", "metadata.uid", "u"},
    {"", "metadata.attempt", "4"},
    {"", "state", "0"},
    {"phase=0", "state", "1"},
    {"phase=2", "state", "1"},
    {"phase=3", "state", "1"},
    {"phase=4", "state", "1"},
    {"", "created_at", "1700000000000000001"},
    {"", "labels#", "1"},
    {"", "labels[0].key", "a"},
    {"", "labels[0].value", "b"},
    {"", "annotations[0].key", "io.x/y"},
    {"", "annotations[0].value", "{\"a\": [1]}\n"},
    {"", "runtime_handler", "h"},
};

static const Expectation POD_STATUS_CASES[] = {
    {"", "network.ip", "10.1.2.3"},
    {"", "network.additional_ips#", "2"},
    {"", "network.additional_ips[0].ip", "fd00::3"},
    {"", "network.additional_ips[1].ip", "10.9.9.9"},
    {"", "linux.namespaces.options.network", "2"},
    {"", "linux.namespaces.options.pid", "1"},
    {"", "linux.namespaces.options.ipc", "0"},
    {"", "linux.namespaces.options.userns_options", "(none)"},
};

static const char CONTAINER[] =
    "spec.id=c0ffee|spec.name=web|spec.attempt=2|phase=2|created_at=5|started_at=6|finished_at=7"
    "|exit_code=137|reason=OOMKilled|message=m|log_path=/var/log/pods/x/0.log|uid=1000|gid=100"
    "|groups[0]=100|groups[1]=7|spec.image.name=busybox|spec.image.user_specified_image=asked"
    "|spec.image.image_id=sha256:1|spec.image.image_ref=r@sha256:2"
    "|spec.image.annotations[0].key=ia|spec.image.annotations[0].value=ib"
    "|spec.labels[0].key=l|spec.labels[0].value=v|spec.annotations[0].key=k"
    "|spec.annotations[0].value=w|spec.mounts[0].destination=/proc|spec.mounts[0].kind=2"
    "|spec.mounts[1].destination=/data|spec.mounts[1].source=/srv|spec.mounts[1].read_only=1"
    "|spec.mounts[1].propagation=2|spec.mounts[1].requested=1|spec.mounts[1].selinux_relabel=1"
    "|spec.resources.cpu_period=100000|spec.resources.cpu_quota=-1|spec.resources.cpu_shares=2"
    "|spec.resources.memory_limit=4096|spec.resources.memory_swap_limit=8192"
    "|spec.resources.oom_score_adj=-997|spec.resources.cpuset_cpus=0-1"
    "|spec.resources.cpuset_mems=0|spec.resources.hugepage_limits[0].key=2MB"
    "|spec.resources.hugepage_limits[0].value=18446744073709551615"
    "|spec.resources.unified[0].key=memory.high|spec.resources.unified[0].value=max"
    "|spec.stop_signal=15";

static const Expectation CONTAINER_CASES[] = {
    {"", "id", "c0ffee"},
    {"", "metadata.name", "web"},
    {"", "metadata.attempt", "2"},
    {"", "state", "2"},
    {"phase=0", "state", "0"},
    {"phase=1", "state", "1"},
    {"phase=3", "state", "3"},
    {"", "created_at", "5"},
    {"", "image.image", "busybox"},
    {"", "image.user_specified_image", "asked"},
    {"", "image.annotations[0].value", "ib"},
    {"", "image_ref", "r@sha256:2"},
    {"", "image_id", "sha256:1"},
    {"", "labels[0].value", "v"},
    {"", "annotations[0].key", "k"},
};

static const Expectation CONTAINER_STATUS_CASES[] = {
    {"", "started_at", "6"},
    {"", "finished_at", "7"},
    {"", "exit_code", "137"},
    {"", "reason", "OOMKilled"},
    {"", "message", "m"},
    {"", "log_path", "/var/log/pods/x/0.log"},
    {"", "mounts#", "1"},
    {"", "mounts[0].container_path", "/data"},
    {"", "mounts[0].host_path", "/srv"},
    {"", "mounts[0].readonly", "1"},
    {"", "mounts[0].propagation", "2"},
    {"", "mounts[0].selinux_relabel", "1"},
    {"spec.mounts[1].propagation=1", "mounts[0].propagation", "1"},
    {"spec.mounts[1].propagation=0", "mounts[0].propagation", "0"},
    {"", "resources.linux.cpu_period", "100000"},
    {"", "resources.linux.cpu_quota", "-1"},
    {"", "resources.linux.cpu_shares", "2"},
    {"", "resources.linux.memory_limit_in_bytes", "4096"},
    {"", "resources.linux.memory_swap_limit_in_bytes", "8192"},
    {"", "resources.linux.oom_score_adj", "-997"},
    {"", "resources.linux.cpuset_cpus", "0-1"},
    {"", "resources.linux.cpuset_mems", "0"},
    {"", "resources.linux.hugepage_limits[0].page_size", "2MB"},
    {"", "resources.linux.hugepage_limits[0].limit", "18446744073709551615"},
    {"", "resources.linux.unified[0].key", "memory.high"},
    {"", "resources.linux.unified[0].value", "max"},
    {"", "user.linux.uid", "1000"},
    {"", "user.linux.gid", "100"},
    {"", "user.linux.supplemental_groups#", "2"},
    {"", "user.linux.supplemental_groups[1]", "7"},
    {"started_at=0", "user", "(none)"},
    {"", "stop_signal", "23"},
    {"spec.stop_signal=9", "stop_signal", "13"},
    {"spec.stop_signal=17", "stop_signal", "4"},
    {"spec.stop_signal_name=SIGNAL_SIGCLD|spec.stop_signal=17", "stop_signal", "5"},
    {"spec.stop_signal=64", "stop_signal", "65"},
    {"spec.stop_signal=37", "stop_signal", "38"},
};

static const char IMAGE[] =
    "id=sha256:1|tags[0]=docker.io/library/busybox:1|digests[0]=b@sha256:2"
    "|size=77|annotations[0].key=a|annotations[0].value=b";

static const Expectation IMAGE_CASES[] = {
    {"", "id", "sha256:1"},
    {"", "repo_tags[0]", "docker.io/library/busybox:1"},
    {"", "repo_digests[0]", "b@sha256:2"},
    {"", "size", "77"},
    {"size=0", "size", "1"},
    {"", "uid", "(none)"},
    {"", "username", ""},
    {"user=0", "uid.value", "0"},
    {"user=1002:100", "uid.value", "1002"},
    {"user=1002:100", "username", ""},
    {"user=www", "uid", "(none)"},
    {"user=www", "username", "www"},
    {"user=www:adm", "username", "www"},
    {"user=-1", "username", "-1"},
    {"", "spec.annotations[0].value", "b"},
    {"", "pinned", "1"},
};

static bool expect(const ProtobufCMessage *message, const Expectation *row)
{
    const char *value = fields_get(message, row->path);

    if (strcmp(value, row->value) == 0)
        return true;
    printf("  with \"%s\" %s is \"%s\", expected \"%s\"\n", row->record, row->path, value,
           row->value);
    return false;
}

static Podmon__PodRecord *make_pod(Arena *arena, const char *more)
{
    Podmon__PodRecord *pod = arena_alloc(arena, sizeof(*pod));

    podmon__pod_record__init(pod);
    fields_set(arena, &pod->base, POD);
    fields_set(arena, &pod->base, more);
    return pod;
}

static Podmon__ContainerRecord *make_container(Arena *arena, const char *more)
{
    Podmon__ContainerRecord *container = arena_alloc(arena, sizeof(*container));

    podmon__container_record__init(container);
    fields_set(arena, &container->base, CONTAINER);
    fields_set(arena, &container->base, more);
    return container;
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

TEST(pods)
{
    for (size_t i = 0; i < COUNT(POD_CASES); i++) {
        AUTO_ARENA Arena *arena = arena_new();
        Podmon__PodRecord *pod = make_pod(arena, POD_CASES[i].record);

        CHECK(expect(&raise_pod(arena, pod)->base, &POD_CASES[i]));
        CHECK(expect(&raise_pod_status(arena, pod)->base, &POD_CASES[i]));
    }
    for (size_t i = 0; i < COUNT(POD_STATUS_CASES); i++) {
        AUTO_ARENA Arena *arena = arena_new();
        Podmon__PodRecord *pod = make_pod(arena, POD_STATUS_CASES[i].record);

        CHECK(expect(&raise_pod_status(arena, pod)->base, &POD_STATUS_CASES[i]));
    }
}

TEST(pod_without_address)
{
    AUTO_ARENA Arena *arena = arena_new();
    Podmon__PodRecord *pod = make_pod(arena, "");
    Runtime__V1__PodSandboxStatus *status;

    pod->n_ips = 0;
    status = raise_pod_status(arena, pod);
    CHECK(status->network);
    CHECK_STR(status->network->ip, "");
    CHECK_EQ(status->network->n_additional_ips, 0);
}

TEST(containers)
{
    for (size_t i = 0; i < COUNT(CONTAINER_CASES); i++) {
        AUTO_ARENA Arena *arena = arena_new();
        Podmon__ContainerRecord *container = make_container(arena, CONTAINER_CASES[i].record);
        Runtime__V1__Container *item = raise_container(arena, make_pod(arena, ""), container);

        CHECK(expect(&item->base, &CONTAINER_CASES[i]));
        CHECK_STR(item->pod_sandbox_id, "feed");
        CHECK(expect(&raise_container_status(arena, container)->base, &CONTAINER_CASES[i]));
    }
    for (size_t i = 0; i < COUNT(CONTAINER_STATUS_CASES); i++) {
        AUTO_ARENA Arena *arena = arena_new();
        Podmon__ContainerRecord *container =
            make_container(arena, CONTAINER_STATUS_CASES[i].record);

        CHECK(expect(&raise_container_status(arena, container)->base, &CONTAINER_STATUS_CASES[i]));
    }
}

TEST(images)
{
    for (size_t i = 0; i < COUNT(IMAGE_CASES); i++) {
        AUTO_ARENA Arena *arena = arena_new();
        Podmon__ImageRecord image = PODMON__IMAGE_RECORD__INIT;

        fields_set(arena, &image.base, IMAGE);
        fields_set(arena, &image.base, IMAGE_CASES[i].record);
        CHECK(expect(&raise_image(arena, &image, true)->base, &IMAGE_CASES[i]));
    }
}

/* What was raised can be packed and says the same when it is read again. */
TEST(answers_survive_the_wire)
{
    AUTO_ARENA Arena *arena = arena_new();
    Runtime__V1__ContainerStatus *status = raise_container_status(arena, make_container(arena, ""));
    size_t size = protobuf_c_message_get_packed_size(&status->base);
    uint8_t *bytes = arena_alloc(arena, size);
    ProtobufCMessage *again;

    CHECK_EQ(protobuf_c_message_pack(&status->base, bytes), size);
    again = protobuf_c_message_unpack(status->base.descriptor, arena_allocator(arena), size, bytes);
    CHECK(again);
    for (size_t i = 0; i < COUNT(CONTAINER_STATUS_CASES); i++)
        if (!*CONTAINER_STATUS_CASES[i].record)
            CHECK(expect(again, &CONTAINER_STATUS_CASES[i]));
}

TEST_MAIN
