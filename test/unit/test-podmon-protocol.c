/* SPDX-License-Identifier: Apache-2.0 */
/* The real podmon with a real container, asked over its control socket. The root is made of a
 * static busybox; everything lies below a directory of its own. Needs root. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "podmon.pb-c.h"
#include "podmon/cgroup.h"
#include "shared/channel.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/file.h"
#include "shared/id.h"
#include "shared/layout.h"
#include "shared/message.h"
#include "shared/record.h"
#include "test/unit/test.h"

#define PODMON TEST_BINARY_DIR "/podmon/podmon"
#define BUSYBOX "/bin/busybox"

enum { REPLY_MS = 20 * 1000, ARGUMENTS_MAX = 8 };

/* What kind of pod; all zero is one with the host's network. */
typedef struct Kind {
    bool own_network;
    bool shared_pids;
    bool without_cni; /* a network is asked for, and nothing is configured */
    bool scope;       /* of systemd's */
} Kind;

typedef struct Node {
    char base[64];
    char pod_id[ID_SIZE];
    char container_id[ID_SIZE];
    char cgroup_parent[64];
    int pod_fd; /* RUN/pods/<id> */
    pid_t pid;
    Kind kind;
} Node;

static Node node = {.pod_fd = -1};

/* What a call came to. */
typedef struct Answer {
    uint32_t code; /* 1000: none came */
    char message[256];
    char container_id[ID_SIZE];
    char out[1024];
    size_t out_size;
    size_t err_size;
    int exit_code;
} Answer;

__attribute__((format(printf, 2, 3))) static void path_set(char path[256], const char *format, ...)
{
    va_list arguments;
    char below[160];

    va_start(arguments, format);
    (void)vsnprintf(below, sizeof(below), format, arguments);
    va_end(arguments);
    (void)snprintf(path, 256, "%s/%s", node.base, below);
}

/* Messages are packed here, never changed. */
static char *text(const char *string)
{
    return (char *)(uintptr_t)string;
}

static bool exists(const char *below)
{
    char path[256];

    path_set(path, "%s", below);
    return access(path, F_OK) == 0;
}

/* ---- the node: directories, an image's layer, the first record */

static bool layer_make(void)
{
    static const char *const names[] = {"sh", "echo", "sleep", "cat", "yes", "head", "ps"};
    char path[256];
    pid_t pid;
    int status;

    path_set(path, "layer/bin");
    if (file_make_directories(path, 0755) < 0)
        return false;
    path_set(path, "layer/proc");
    (void)mkdir(path, 0755);
    path_set(path, "layer/bin/busybox");
    pid = fork();
    if (pid == 0) {
        (void)execl("/bin/cp", "cp", BUSYBOX, path, (char *)NULL);
        _exit(1);
    }
    if (waitpid(pid, &status, 0) != pid || status != 0)
        return false;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        path_set(path, "layer/bin/%s", names[i]);
        if (symlink("busybox", path) < 0)
            return false;
    }
    return true;
}

static int record_make(Kind kind)
{
    Podmon__PodRecord record = PODMON__POD_RECORD__INIT;
    Podmon__PodSpec spec = PODMON__POD_SPEC__INIT;
    Podmon__PodName name = PODMON__POD_NAME__INIT;
    Podmon__Namespaces namespaces = PODMON__NAMESPACES__INIT;
    Podmon__CgroupPlan cgroup = PODMON__CGROUP_PLAN__INIT;
    Podmon__NetworkPlan network = PODMON__NETWORK_PLAN__INIT;
    char boot_id[LAYOUT_BOOT_ID_SIZE], logs[256], conf_dir[256], unit[64];

    path_set(logs, "logs");
    name.name = name.uid = name.namespace_ = text("test");
    path_set(conf_dir, "cni");
    network.conf_dir = conf_dir;
    namespaces.network = kind.own_network ? PODMON__NAMESPACE_MODE__NAMESPACE_POD
                                          : PODMON__NAMESPACE_MODE__NAMESPACE_NODE;
    namespaces.pid = kind.shared_pids ? PODMON__NAMESPACE_MODE__NAMESPACE_POD
                                      : PODMON__NAMESPACE_MODE__NAMESPACE_CONTAINER;
    namespaces.user = PODMON__NAMESPACE_MODE__NAMESPACE_NODE;
    node.kind = kind;
    spec.hostname = text(kind.own_network ? "seven" : "");
    spec.network = kind.without_cni ? &network : NULL;
    (void)snprintf(unit, sizeof(unit), "podmon-test-%.12s.scope", node.pod_id);
    if (kind.scope) {
        cgroup.unit = unit;
        cgroup.slice = text("podmontest.slice");
        cgroup.description = text("A pod of podmon's test");
    } else {
        cgroup.parent = node.cgroup_parent;
        cgroup.name = text("pod");
    }
    spec.id = node.pod_id;
    spec.name = &name;
    spec.namespaces = &namespaces;
    spec.cgroup = &cgroup;
    spec.log_directory = logs;
    spec.shm_size = 1 << 20;
    spec.drain_timeout_ms = 500;
    record.spec = &spec;
    record.boot_id = boot_id;
    record.created_at = clock_real();
    if (layout_read_boot_id(boot_id) < 0)
        return -EIO;
    return record_write_at(node.pod_fd, LAYOUT_STATE, &record.base, 0600, FILE_SYNC_NO);
}

/* Starts podmon as the dispatcher does. */
static bool podmon_start(void)
{
    char run[256], root[256];
    int control = channel_listen_at(node.pod_fd, LAYOUT_CONTROL, 16);
    int lock = layout_lock_pod(node.pod_fd);

    path_set(run, "run");
    path_set(root, "root");
    if (control < 0 || lock < 0)
        return false;
    node.pid = fork();
    if (node.pid == 0) {
        int high_control = fcntl(control, F_DUPFD, 20), high_lock = fcntl(lock, F_DUPFD, 20);
        (void)dup2(high_control, LAYOUT_FD_CONTROL);
        (void)dup2(high_lock, LAYOUT_FD_LOCK);
        (void)execl(PODMON, "podmon", "--pod", node.pod_id, "--run", run, "--root", root,
                    (char *)NULL);
        _exit(127);
    }
    (void)close(control);
    (void)close(lock);
    return node.pid > 0;
}

/* Waits until podmon has ended by itself; its exit status, −1 if it does not. */
static int podmon_wait(void)
{
    int status;

    for (int i = 0; i < 500; i++) {
        if (waitpid(node.pid, &status, WNOHANG) == node.pid) {
            node.pid = 0;
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
        (void)usleep(10000);
    }
    return -1;
}

/* Also after a check that failed, with whatever is there by then: at most one pod with two shared
 * mounts. */
static void node_close(void)
{
    static const char *const pins[] = {LAYOUT_NETNS, LAYOUT_IPCNS, LAYOUT_UTSNS, LAYOUT_SHM};
    char path[256];

    if (node.pod_fd < 0)
        return;
    if (node.pid > 0 && kill(node.pid, 0) == 0) {
        (void)kill(node.pid, SIGKILL);
        (void)waitpid(node.pid, NULL, 0);
    }
    (void)cgroup_kill(node.cgroup_parent);
    for (int i = 0; i < 100 && cgroup_remove(node.cgroup_parent) == -EBUSY; i++)
        (void)usleep(10000);
    for (size_t i = 0; i < sizeof(pins) / sizeof(*pins); i++) {
        path_set(path, "run/pods/%s/%s", node.pod_id, pins[i]);
        (void)umount2(path, MNT_DETACH);
    }
    fd_close(&node.pod_fd);
    (void)file_delete_tree_at(AT_FDCWD, node.base);
}

static bool node_open(Kind kind)
{
    char path[256];

    node_close();
    node = (Node){.base = "/tmp/podmon-protocol-XXXXXX", .pod_fd = -1};
    if (!mkdtemp(node.base) || chmod(node.base, 0755) < 0 || !layer_make())
        return false;
    (void)snprintf(node.cgroup_parent, sizeof(node.cgroup_parent), "/podmon-test-%d", getpid());
    if (id_make_pod(node.pod_id) < 0 || id_make_container(node.pod_id, node.container_id) < 0)
        return false;
    path_set(path, "root");
    (void)mkdir(path, 0700);
    path_set(path, "run/pods/%s", node.pod_id);
    if (file_make_directories(path, 0700) < 0)
        return false;
    node.pod_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return node.pod_fd >= 0 && record_make(kind) >= 0 && podmon_start();
}

/* ---- calls */

static int call_open(const Podmon__Request *request)
{
    int fd = channel_connect_at(node.pod_fd, LAYOUT_CONTROL);

    if (fd >= 0 && message_send(fd, &request->base, NULL, 0) < 0)
        fd_close(&fd);
    return fd;
}

static Answer call_wait(int fd)
{
    struct pollfd ready = {fd, POLLIN, 0};
    Answer answer = {.code = 1000};
    ProtobufCMessage *message = NULL;
    const Podmon__Reply *reply;

    if (fd < 0 || poll(&ready, 1, REPLY_MS) != 1 ||
        message_receive(fd, &podmon__reply__descriptor, NULL, &message) != 1) {
        fd_close(&fd);
        return answer;
    }
    fd_close(&fd);
    reply = (const Podmon__Reply *)message;
    answer.code = reply->code;
    (void)snprintf(answer.message, sizeof(answer.message), "%s", reply->message);
    (void)snprintf(answer.container_id, sizeof(answer.container_id), "%s", reply->container_id);
    if (reply->exec) {
        answer.out_size = reply->exec->stdout.len;
        answer.err_size = reply->exec->stderr.len;
        answer.exit_code = reply->exec->exit_code;
        (void)snprintf(answer.out, sizeof(answer.out), "%.*s", (int)answer.out_size,
                       (const char *)reply->exec->stdout.data);
    }
    protobuf_c_message_free_unpacked(message, NULL);
    return answer;
}

static Answer call(Podmon__Request__CallCase kind, void *body)
{
    Podmon__Request request = PODMON__REQUEST__INIT;

    request.version = 1;
    request.call_case = kind;
    request.run_pod = body; /* All members of the union are pointers to a message. */
    return call_wait(call_open(&request));
}

static Answer run_pod(void)
{
    Podmon__RunPod body = PODMON__RUN_POD__INIT;

    return call(PODMON__REQUEST__CALL_RUN_POD, &body);
}

static Answer remove_pod(void)
{
    Podmon__RemovePod body = PODMON__REMOVE_POD__INIT;

    return call(PODMON__REQUEST__CALL_REMOVE_POD, &body);
}

static Answer stop_pod(void)
{
    Podmon__StopPod body = PODMON__STOP_POD__INIT;

    return call(PODMON__REQUEST__CALL_STOP_POD, &body);
}

static Answer create(const char *name, const char *script)
{
    Podmon__CreateContainer body = PODMON__CREATE_CONTAINER__INIT;
    Podmon__ContainerSpec spec = PODMON__CONTAINER_SPEC__INIT;
    Podmon__UserPlan user = PODMON__USER_PLAN__INIT;
    Podmon__SecurityPlan security = PODMON__SECURITY_PLAN__INIT;
    Podmon__Namespaces namespaces = PODMON__NAMESPACES__INIT;
    Podmon__Resources resources = PODMON__RESOURCES__INIT;
    Podmon__Mount proc = PODMON__MOUNT__INIT;
    Podmon__Mount *mounts[] = {&proc};
    char *argv[] = {text("/bin/sh"), text("-c"), text(script)};
    char *env[] = {text("PATH=/bin")};
    char layer[256];
    char *layers[] = {layer};

    path_set(layer, "layer");
    proc.kind = PODMON__MOUNT_KIND__MOUNT_PROC;
    proc.destination = text("/proc");
    namespaces.network = node.kind.own_network ? PODMON__NAMESPACE_MODE__NAMESPACE_POD
                                               : PODMON__NAMESPACE_MODE__NAMESPACE_NODE;
    namespaces.pid = node.kind.shared_pids ? PODMON__NAMESPACE_MODE__NAMESPACE_POD
                                           : PODMON__NAMESPACE_MODE__NAMESPACE_CONTAINER;
    namespaces.user = PODMON__NAMESPACE_MODE__NAMESPACE_NODE;
    (void)id_make_container(node.pod_id, node.container_id);
    spec.id = node.container_id;
    spec.name = text(name);
    spec.log_path = text("c/0.log");
    spec.layers = layers;
    spec.n_layers = 1;
    spec.argv = argv;
    spec.n_argv = 3;
    spec.env = env;
    spec.n_env = 1;
    spec.cwd = text("/");
    spec.mounts = mounts;
    spec.n_mounts = 1;
    spec.user = &user;
    spec.security = &security;
    spec.namespaces = &namespaces;
    spec.resources = &resources;
    spec.stop_signal = SIGTERM;
    body.spec = &spec;
    return call(PODMON__REQUEST__CALL_CREATE_CONTAINER, &body);
}

static Answer start(const char *id)
{
    Podmon__StartContainer body = PODMON__START_CONTAINER__INIT;

    body.id = text(id);
    return call(PODMON__REQUEST__CALL_START_CONTAINER, &body);
}

static Answer stop(const char *id, int64_t grace_ms)
{
    Podmon__StopContainer body = PODMON__STOP_CONTAINER__INIT;

    body.id = text(id);
    body.grace_ms = grace_ms;
    return call(PODMON__REQUEST__CALL_STOP_CONTAINER, &body);
}

static Answer remove_container(const char *id)
{
    Podmon__RemoveContainer body = PODMON__REMOVE_CONTAINER__INIT;

    body.id = text(id);
    return call(PODMON__REQUEST__CALL_REMOVE_CONTAINER, &body);
}

static Answer reopen(const char *id)
{
    Podmon__ReopenLog body = PODMON__REOPEN_LOG__INIT;

    body.id = text(id);
    return call(PODMON__REQUEST__CALL_REOPEN_LOG, &body);
}

static int exec_open(const char *id, const char *script, int64_t timeout_ms)
{
    Podmon__Request request = PODMON__REQUEST__INIT;
    Podmon__ExecSync body = PODMON__EXEC_SYNC__INIT;
    char *argv[] = {text("/bin/sh"), text("-c"), text(script)};

    body.id = text(id);
    body.argv = argv;
    body.n_argv = script ? 3 : 0;
    body.timeout_ms = timeout_ms;
    request.version = 1;
    request.call_case = PODMON__REQUEST__CALL_EXEC_SYNC;
    request.exec_sync = &body;
    return call_open(&request);
}

static Answer exec(const char *id, const char *script, int64_t timeout_ms)
{
    return call_wait(exec_open(id, script, timeout_ms));
}

/* ---- what is published */

static Podmon__PodRecord *record_now(void)
{
    ProtobufCMessage *record = NULL;

    return record_read_at(node.pod_fd, LAYOUT_STATE, &podmon__pod_record__descriptor, NULL,
                          &record) < 0
               ? NULL
               : (Podmon__PodRecord *)record;
}

/* Waits for the phase of the newest container; its exit code and reason. */
static bool container_reaches(Podmon__ContainerPhase phase, int *ret_code, char reason[32])
{
    for (int i = 0; i < 500; i++) {
        Podmon__PodRecord *record = record_now();
        const Podmon__ContainerRecord *container =
            record && record->n_containers ? record->containers[record->n_containers - 1] : NULL;
        bool reached = container && container->phase == phase;

        if (reached) {
            *ret_code = container->exit_code;
            (void)snprintf(reason, 32, "%s", container->reason);
        }
        if (record)
            podmon__pod_record__free_unpacked(record, NULL);
        if (reached)
            return true;
        (void)usleep(10000);
    }
    return false;
}

static char *log_read(const char *name)
{
    AUTO_CLOSE int fd = -1;
    char path[256];
    char *text = NULL;

    path_set(path, "logs/c");
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || file_read_at(fd, name, 1 << 20, &text, NULL) < 0 ? NULL : text;
}

static bool machine_is_fit(void)
{
    return geteuid() == 0 && access(PODMON, X_OK) == 0 && access(BUSYBOX, X_OK) == 0;
}

#define NODE_OPEN(...)                                                                             \
    do {                                                                                           \
        if (!machine_is_fit())                                                                     \
            SKIP("needs root, podmon and a static " BUSYBOX);                                      \
        (void)atexit(node_close);                                                                  \
        CHECK(node_open((Kind){__VA_ARGS__}));                                                     \
    } while (0)

TEST(a_container_runs_and_leaves_nothing)
{
    char id[ID_SIZE], reason[32], below[160];
    Answer answer;
    int code = -1;

    NODE_OPEN(false);
    CHECK_STR(run_pod().message, "");
    CHECK_EQ(run_pod().code, 0);
    answer = create("one", "echo hello; echo there >&2; exit 3");
    CHECK_STR(answer.message, "");
    (void)snprintf(id, sizeof(id), "%s", answer.container_id);
    answer = create("one", "echo again");
    CHECK_STR(answer.container_id, id);
    CHECK_EQ(exec(id, "echo", 0).code, 9);
    CHECK_EQ(reopen(id).code, 9);
    CHECK_STR(start(id).message, "");
    CHECK(container_reaches(PODMON__CONTAINER_PHASE__CONTAINER_EXITED, &code, reason));
    CHECK_EQ(code, 3);
    CHECK_STR(reason, "Error");
    AUTO_FREE char *log = log_read("0.log");
    CHECK(log && strstr(log, " stdout F hello\n") && strstr(log, " stderr F there\n"));
    CHECK_EQ(start(id).code, 9);
    CHECK_EQ(stop(id, 1000).code, 0);
    CHECK_EQ(remove_container(id).code, 0);
    CHECK_EQ(remove_container(id).code, 0);
    CHECK_EQ(start(id).code, 5);
    CHECK_EQ(stop_pod().code, 0);
    CHECK_EQ(podmon_wait(), 0);
    CHECK(podmon_start());
    CHECK_EQ(remove_pod().code, 0);
    CHECK_EQ(podmon_wait(), 0);
    (void)snprintf(below, sizeof(below), "run/pods/%s", node.pod_id);
    CHECK(!exists(below));
    (void)snprintf(below, sizeof(below), "root/pods/%s", node.pod_id);
    CHECK(!exists(below));
    CHECK_EQ(cgroup_is_empty(node.cgroup_parent), 1);
    node_close();
}

TEST(a_running_one_is_executed_in_stopped_and_killed)
{
    char id[ID_SIZE], reason[32];
    Answer answer;
    uint64_t begin;
    int code = -1, fd;

    NODE_OPEN(false);
    CHECK_STR(run_pod().message, "");
    answer = create("one", "trap 'echo bye; exit 7' TERM; while :; do sleep 0.05; done");
    (void)snprintf(id, sizeof(id), "%s", answer.container_id);
    CHECK_STR(start(id).message, "");
    CHECK_EQ(start(id).code, 9);
    answer = exec(id, "echo out; echo problem >&2; exit 4", 5000);
    CHECK_STR(answer.message, "");
    CHECK_STR(answer.out, "out\n");
    CHECK_EQ(answer.err_size, 8);
    CHECK_EQ(answer.exit_code, 4);
    CHECK_EQ(exec(id, "kill -9 $$", 0).exit_code, 137);
    CHECK_EQ(exec(id, NULL, 0).code, 3);

    /* The whole tree ends with its time. */
    begin = clock_monotonic();
    answer = exec(id, "sleep 77 & sleep 77", 200);
    CHECK_EQ(answer.code, 4);
    CHECK(clock_monotonic() - begin < 5 * CLOCK_SECOND);
    answer = exec(id, "ps", 0);
    CHECK(strstr(answer.out, "sleep") && !strstr(answer.out, "77"));

    /* A descendant that keeps the stream open does not keep the answer. */
    begin = clock_monotonic();
    answer = exec(id, "sleep 3 & echo done", 0);
    CHECK_STR(answer.out, "done\n");
    CHECK(clock_monotonic() - begin < 2 * CLOCK_SECOND);

    /* A client that goes away takes its command along. */
    fd = exec_open(id, "sleep 88", 0);
    CHECK(fd >= 0);
    (void)usleep(200000);
    (void)close(fd);
    (void)usleep(200000);
    answer = exec(id, "ps", 0);
    CHECK(!strstr(answer.out, "88"));

    CHECK_EQ(stop(id, 5000).code, 0);
    CHECK(container_reaches(PODMON__CONTAINER_PHASE__CONTAINER_EXITED, &code, reason));
    CHECK_EQ(code, 7);
    AUTO_FREE char *log = log_read("0.log");
    CHECK(log && strstr(log, " stdout F bye\n"));
    answer = create("two", "trap '' TERM; while :; do sleep 1; done");
    CHECK_EQ(start(answer.container_id).code, 0);
    begin = clock_monotonic();
    CHECK_EQ(stop(answer.container_id, 200).code, 0);
    CHECK(clock_monotonic() - begin < 2 * CLOCK_SECOND);
    CHECK(container_reaches(PODMON__CONTAINER_PHASE__CONTAINER_EXITED, &code, reason));
    CHECK_EQ(code, 137);
    CHECK_STR(reason, "Error");
    CHECK_EQ(remove_pod().code, 0);
    CHECK_EQ(podmon_wait(), 0);
    node_close();
}

TEST(a_flood_of_output_is_capped_and_the_command_goes_on)
{
    Answer answer;

    NODE_OPEN(false);
    CHECK_STR(run_pod().message, "");
    answer = create("one", "sleep 1000");
    CHECK_EQ(start(answer.container_id).code, 0);
    answer = exec(answer.container_id, "yes 123456789012345 | head -c 20000000; exit 5", 0);
    CHECK_STR(answer.message, "");
    CHECK_EQ(answer.exit_code, 5);
    CHECK(answer.out_size > 15 * 1024 * 1024);
    CHECK(answer.out_size + answer.err_size < 16 * 1024 * 1024);
    CHECK_EQ(remove_pod().code, 0);
    CHECK_EQ(podmon_wait(), 0);
    node_close();
}

TEST(a_log_is_rotated)
{
    char from[256], to[256];
    Answer answer;

    NODE_OPEN(false);
    CHECK_STR(run_pod().message, "");
    answer = create("one",
                    "echo before; while [ ! -e /go ]; do sleep 0.01; done; echo after; "
                    "sleep 1000");
    CHECK_EQ(start(answer.container_id).code, 0);
    path_set(from, "logs/c/0.log");
    path_set(to, "logs/c/0.log.1");
    (void)usleep(100000);
    CHECK_EQ(rename(from, to), 0);
    CHECK_EQ(reopen(answer.container_id).code, 0);
    CHECK_EQ(access(from, F_OK), 0);
    CHECK_EQ(exec(answer.container_id, "echo > /go; sleep 0.2", 0).code, 0);
    AUTO_FREE char *old = log_read("0.log.1");
    AUTO_FREE char *new = log_read("0.log");
    CHECK(old && strstr(old, " F before\n") && !strstr(old, "after"));
    CHECK(new &&strstr(new, " F after\n"));
    CHECK_EQ(remove_pod().code, 0);
    CHECK_EQ(podmon_wait(), 0);
    node_close();
}

TEST(what_cannot_start_says_why)
{
    char reason[32], path[256];
    Answer answer;
    int code = -1;

    NODE_OPEN(false);
    CHECK_STR(run_pod().message, "");
    answer = create("one", "echo");
    path_set(path, "layer/bin/sh");
    CHECK_EQ(unlink(path), 0);
    answer = start(answer.container_id);
    CHECK(answer.code != 0 && strstr(answer.message, "/bin/sh"));
    CHECK(container_reaches(PODMON__CONTAINER_PHASE__CONTAINER_EXITED, &code, reason));
    CHECK_EQ(code, 128);
    CHECK_STR(reason, "StartError");
    CHECK_EQ(remove_pod().code, 0);
    CHECK_EQ(podmon_wait(), 0);
    node_close();
}

/* The container and its log survive the death of its podmon. */
TEST(another_podmon_takes_over)
{
    char id[ID_SIZE], reason[32];
    Answer answer;
    int code = -1;

    NODE_OPEN(false);
    CHECK_STR(run_pod().message, "");
    answer =
        create("one", "trap 'exit 7' TERM; i=0; while :; do echo $((i=i+1)); sleep 0.02; done");
    (void)snprintf(id, sizeof(id), "%s", answer.container_id);
    CHECK_EQ(start(id).code, 0);
    (void)usleep(100000);
    CHECK_EQ(kill(node.pid, SIGKILL), 0);
    CHECK_EQ(podmon_wait(), 128 + SIGKILL);
    (void)usleep(200000);
    CHECK(podmon_start());
    CHECK_EQ(run_pod().code, 0);
    CHECK_STR(exec(id, "echo alive", 0).out, "alive\n");
    (void)usleep(100000);
    CHECK_EQ(stop(id, 5000).code, 0);
    CHECK(container_reaches(PODMON__CONTAINER_PHASE__CONTAINER_EXITED, &code, reason));
    CHECK(code == 7 || code == 255);
    AUTO_FREE char *log = log_read("0.log");
    CHECK(log);
    int lines = 0;
    for (char *rest = log, *line; (line = strsep(&rest, "\n")) && *line; lines++) {
        const char *content = strstr(line, " F ");
        CHECK(content && atoi(content + 3) == lines + 1);
    }
    CHECK(lines > 10);
    CHECK_EQ(remove_pod().code, 0);
    CHECK_EQ(podmon_wait(), 0);
    node_close();
}

TEST(asked_to_end_it_stops_the_pod)
{
    char reason[32];
    Answer answer;
    int code = -1;

    NODE_OPEN(false);
    CHECK_STR(run_pod().message, "");
    answer = create("one", "trap 'exit 7' TERM; while :; do sleep 0.02; done");
    CHECK_EQ(start(answer.container_id).code, 0);
    (void)usleep(100000);
    CHECK_EQ(kill(node.pid, SIGTERM), 0);
    CHECK_EQ(podmon_wait(), 0);
    CHECK(container_reaches(PODMON__CONTAINER_PHASE__CONTAINER_EXITED, &code, reason));
    CHECK_EQ(code, 7);
    Podmon__PodRecord *record = record_now();
    CHECK(record && record->phase == PODMON__POD_PHASE__POD_STOPPED);
    podmon__pod_record__free_unpacked(record, NULL);
    CHECK(podmon_start());
    CHECK_EQ(run_pod().code, 9);
    CHECK_EQ(podmon_wait(), 0); /* Nothing to do for a stopped pod. */
    CHECK(podmon_start());
    CHECK_EQ(remove_pod().code, 0);
    CHECK_EQ(podmon_wait(), 0);
    node_close();
}

TEST(a_pod_with_namespaces_of_its_own)
{
    char id[ID_SIZE], reason[32];
    Answer answer;
    int code = -1;

    NODE_OPEN(.own_network = true, .shared_pids = true);
    CHECK_STR(run_pod().message, "");
    answer = create("one",
                    "(trap '' TERM; sleep 99) & trap 'exit 7' TERM; "
                    "while :; do sleep 0.02; done");
    (void)snprintf(id, sizeof(id), "%s", answer.container_id);
    CHECK_STR(start(id).message, "");
    CHECK_STR(exec(id, "cat /proc/sys/kernel/hostname", 0).out, "seven\n");
    CHECK(strstr(exec(id, "cat /proc/net/dev", 0).out, "lo:"));

    /* The pod's init, and the descendant that would outlive its container, are found again. */
    CHECK_EQ(kill(node.pid, SIGKILL), 0);
    CHECK_EQ(podmon_wait(), 128 + SIGKILL);
    CHECK(podmon_start());
    CHECK(strstr(exec(id, "ps", 0).out, "sleep 99"));
    CHECK_EQ(stop(id, 5000).code, 0);
    CHECK(container_reaches(PODMON__CONTAINER_PHASE__CONTAINER_EXITED, &code, reason));
    CHECK(code == 7 || code == 255);
    answer = create("two", "while :; do sleep 1; done");
    CHECK_STR(start(answer.container_id).message, "");
    CHECK(!strstr(exec(answer.container_id, "ps", 0).out, "sleep 99"));
    CHECK_EQ(remove_pod().code, 0);
    CHECK_EQ(podmon_wait(), 0);
    CHECK_EQ(cgroup_is_empty(node.cgroup_parent), 1);
    node_close();
}

static void pod_in_scope(bool restart)
{
    char scope[256] = "";
    CgroupLayout layout;
    Answer answer;

    if (access("/run/systemd/system", F_OK) < 0)
        SKIP("systemd does not run here");
    NODE_OPEN(.scope = true, .shared_pids = true);
    CHECK_STR(run_pod().message, "");
    Podmon__PodRecord *record = record_now();
    CHECK(record != NULL);
    (void)snprintf(scope, sizeof(scope), "%s", record->cgroup);
    podmon__pod_record__free_unpacked(record, NULL);
    CHECK(strstr(scope, "/podmontest.slice/podmon-test-"));
    answer = create("one", "sleep 1000");
    CHECK_STR(answer.message, "");
    CHECK_STR(start(answer.container_id).message, "");
    CHECK_STR(exec(answer.container_id, "echo in", 0).out, "in\n");

    /* The scope goes on as long as a container is in it. */
    if (restart) {
        CHECK_EQ(kill(node.pid, SIGKILL), 0);
        CHECK_EQ(podmon_wait(), 128 + SIGKILL);
        CHECK(podmon_start());
    }
    CHECK_STR(exec(answer.container_id, "echo in", 0).out, "in\n");
    CHECK_STR(remove_pod().message, "");
    CHECK_EQ(podmon_wait(), 0);
    CHECK_EQ(cgroup_probe(&layout, NULL), 0);
    for (int i = 0; i < 300 && cgroup_is_empty(scope) != -ENOENT; i++)
        (void)usleep(10000);
    /* On v1 alone systemd learns of an empty group by the release agent, which the cgroup namespace
     * of a test node does not have. */
    if (layout != CGROUP_LAYOUT_V1)
        CHECK_EQ(cgroup_is_empty(scope), -ENOENT);
    node_close();
}

TEST(a_pod_in_a_scope)
{
    pod_in_scope(false);
}

TEST(a_pod_in_a_scope_whose_podmon_dies)
{
    pod_in_scope(true);
}

TEST(a_pod_that_cannot_start_leaves_nothing)
{
    char below[160];
    Answer answer;

    NODE_OPEN(.own_network = true, .without_cni = true);
    answer = run_pod();
    CHECK(answer.code != 0 && answer.code != 1000);
    CHECK(strstr(answer.message, "/cni"));
    CHECK_EQ(podmon_wait(), 0);
    (void)snprintf(below, sizeof(below), "run/pods/%s", node.pod_id);
    CHECK(!exists(below));
    (void)snprintf(below, sizeof(below), "root/pods/%s", node.pod_id);
    CHECK(!exists(below));
    CHECK_EQ(cgroup_is_empty(node.cgroup_parent), 1);
    node_close();
}

TEST(bad_requests_are_refused)
{
    Podmon__Request request = PODMON__REQUEST__INIT;

    NODE_OPEN(false);
    CHECK_STR(run_pod().message, "");
    request.version = 2;
    CHECK_EQ(call_wait(call_open(&request)).code, 12);
    request.version = 1;
    CHECK_EQ(call_wait(call_open(&request)).code, 12);
    CHECK_EQ(exec("no-such-id", "echo", 0).code, 5);
    CHECK_EQ(remove_pod().code, 0);
    CHECK_EQ(podmon_wait(), 0);
    node_close();
}

TEST_MAIN
