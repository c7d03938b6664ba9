/* SPDX-License-Identifier: Apache-2.0 */
/* Real plugins and misbehaving ones, in a network and mount namespace that play the host. */
#include "podmon/network.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "podmon/cni.h"
#include "podmon/network_lock.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/file.h"
#include "shared/text.h"
#include "test/unit/test.h"

#define PLUGINS "/usr/lib/cni"

static char conf_dir[] = "/run/cni/net.d", script_dir[] = "/run/cni/bin", real_dir[] = PLUGINS;
static char netns[64];
static pid_t holder;
static Podmon__PodName pod_name;
static Podmon__NetworkPlan plan;
static Podmon__PodSpec pod;
static char *bin_dirs[] = {script_dir, real_dir};

static bool isolate(void)
{
    static bool isolated;

    if (isolated)
        return true;
    isolated = unshare(CLONE_NEWNET | CLONE_NEWNS) == 0 &&
               mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
               mount("tmpfs", "/run", "tmpfs", 0, NULL) == 0 &&
               mount("tmpfs", "/var/lib", "tmpfs", 0, NULL) == 0 && mkdir("/run/cni", 0755) == 0 &&
               mkdir(conf_dir, 0755) == 0 && mkdir(script_dir, 0755) == 0;
    return isolated;
}

/* A pod whose network namespace is that of a process of the test's. */
static bool prepare(void)
{
    static char id[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    static char name_space[] = "default", name[] = "web", uid[] = "u-1";

    if (!isolate())
        return false;
    holder = fork();
    if (holder == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (unshare(CLONE_NEWNET) < 0)
            _exit(1);
        for (;;)
            (void)pause();
    }
    (void)usleep(50000);
    (void)snprintf(netns, sizeof(netns), "/proc/%d/ns/net", holder);
    podmon__pod_name__init(&pod_name);
    podmon__network_plan__init(&plan);
    podmon__pod_spec__init(&pod);
    pod_name.namespace_ = name_space;
    pod_name.name = name;
    pod_name.uid = uid;
    plan.conf_dir = conf_dir;
    plan.bin_dirs = bin_dirs;
    plan.n_bin_dirs = 2;
    plan.timeout_ms = 60000;
    pod.id = id;
    pod.name = &pod_name;
    pod.network = &plan;
    return true;
}

#define PREPARE()                                                                                  \
    do {                                                                                           \
        if (!prepare())                                                                            \
            SKIP("cannot have namespaces of its own");                                             \
    } while (0)

static void finish(void)
{
    (void)kill(holder, SIGKILL);
    (void)waitpid(holder, NULL, 0);
}

static bool put(const char *path, const char *text, mode_t mode)
{
    return file_write_at(AT_FDCWD, path, text, strlen(text), mode, FILE_SYNC_NO) == 0;
}

static bool configure(const char *text)
{
    return put("/run/cni/net.d/10-test.conflist", text, 0644);
}

/* A plugin "fake" that notes how it was called before it does `behaviour`, and a second, "fine". */
static bool script(const char *behaviour)
{
    CLEANUP(text_done) Text text = {0};

    (void)unlink("/run/cni/log");
    if (text_print(
            &text,
            "#!/bin/sh\necho fake $CNI_COMMAND${CNI_IFNAME:+ $CNI_IFNAME} >>/run/cni/log\n%s\n",
            behaviour) < 0)
        return false;
    return put("/run/cni/bin/fake", text.data, 0755) &&
           put("/run/cni/bin/fine",
               "#!/bin/sh\necho fine $CNI_COMMAND${CNI_IFNAME:+ $CNI_IFNAME} >>/run/cni/log\n"
               "cat >/run/cni/last-$CNI_COMMAND\n"
               "echo '{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"fd00::2/64\"},"
               "{\"address\":\"10.1.2.3/24\"},{\"address\":\"nonsense\"}]}'\n",
               0755) &&
           configure(
               "{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"plugins\":[{\"type\":\"fine\"},"
               "{\"type\":\"fake\"}]}");
}

static const char *read_text(const char *path)
{
    static char *text;

    free(text);
    text = NULL;
    (void)file_read_at(AT_FDCWD, path, 65536, &text, NULL);
    return text;
}

static bool run_ip(const char *argument, const char *object)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        (void)close(1);
        (void)close(2);
        (void)execl("/sbin/ip", "ip", object, "show", argument, (char *)NULL);
        _exit(1);
    }
    return waitpid(pid, &status, 0) == pid && status == 0;
}

#define BRIDGE                                                                                     \
    "{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"plugins\":[{\"type\":\"bridge\","                  \
    "\"bridge\":\"pmtest0\",\"isGateway\":true,\"ipam\":{\"type\":\"host-local\","                 \
    "\"ranges\":[[{\"subnet\":\"10.77.0.0/24\"}]]}}"

TEST(bridge_attaches_and_detaches)
{
    CLEANUP(text_done) Text result = {0};
    CLEANUP(text_list_cleanup) char **addresses = NULL;
    Podmon__PortMapping mapping = PODMON__PORT_MAPPING__INIT, *mappings[] = {&mapping};
    char tcp[] = "tcp";
    Failure why = {0};

    if (access(PLUGINS "/bridge", X_OK) < 0)
        SKIP("needs containernetworking-plugins");
    PREPARE();
    CHECK(configure(BRIDGE ",{\"type\":\"portmap\",\"capabilities\":"
                           "{\"portMappings\":true}}]}"));
    mapping.protocol = tcp;
    mapping.container_port = 80;
    mapping.host_port = 8080;
    plan.port_mappings = mappings;
    plan.n_port_mappings = 1;
    if (network_add(&pod, netns, &result, &why) < 0)
        printf("  %s\n", why.text);
    CHECK_EQ(why.code, FAILURE_NONE);
    CHECK_EQ(network_addresses(result.data, &addresses), 0);
    CHECK_EQ(text_list_count(addresses), 1);
    CHECK_STR(addresses[0], "10.77.0.2");
    CHECK(run_ip("pmtest0", "link"));
    CHECK_EQ(access("/var/lib/cni/networks/n/10.77.0.2", F_OK), 0);
    CHECK_EQ(network_del(&pod, netns, result.data, &why), 0);
    CHECK_EQ(access("/var/lib/cni/networks/n/10.77.0.2", F_OK), -1);
    CHECK_EQ(network_del(&pod, netns, result.data, &why), 0);
    CHECK_EQ(network_del(&pod, NULL, result.data, &why), 0);
    finish();
}

TEST(check_finds_a_link_that_is_gone)
{
    CLEANUP(text_done) Text result = {0};
    Failure why = {0};
    char other[64];

    if (access(PLUGINS "/bridge", X_OK) < 0)
        SKIP("needs containernetworking-plugins");
    PREPARE();
    CHECK(configure(BRIDGE "]}"));
    CHECK_EQ(network_add(&pod, netns, &result, &why), 0);
    CHECK_EQ(network_check(&pod, netns, result.data, &why), 0);
    (void)snprintf(other, sizeof(other), "/proc/%d/ns/net", getpid());
    CHECK(network_check(&pod, other, result.data, &why) < 0);
    CHECK(text_starts_with(why.text, "network plugin bridge: "));
    CHECK_EQ(network_del(&pod, netns, result.data, &why), 0);
    finish();
}

TEST(results_are_chained_and_addresses_ordered)
{
    CLEANUP(text_done) Text result = {0};
    CLEANUP(text_list_cleanup) char **addresses = NULL;
    Failure why;

    PREPARE();
    CHECK(
        script("cat >/run/cni/last-$CNI_COMMAND-fake; test $CNI_COMMAND = ADD && "
               "sed 's/.*\"prevResult\":\\(.*\\)}$/\\1/' /run/cni/last-ADD-fake; exit 0"));
    CHECK_EQ(network_add(&pod, netns, &result, &why), 0);
    CHECK(!strstr(read_text("/run/cni/last-ADD"), "prevResult"));
    CHECK_EQ(network_addresses(result.data, &addresses), 0);
    CHECK_EQ(text_list_count(addresses), 2);
    CHECK_STR(addresses[0], "10.1.2.3");
    CHECK_STR(addresses[1], "fd00::2");
    CHECK_EQ(network_del(&pod, netns, result.data, &why), 0);
    CHECK(strstr(read_text("/run/cni/last-DEL"), "prevResult"));
    CHECK_STR(read_text("/run/cni/log"),
              "fine ADD eth0\nfake ADD eth0\nfake DEL eth0\nfine DEL eth0\n");
    finish();
}

typedef struct Misbehaviour {
    const char *script;
    FailureCode code;
    const char *sentence;
} Misbehaviour;

static const Misbehaviour MISBEHAVIOURS[] = {
    {"echo garbage", FAILURE_INTERNAL, "network plugin fake answered with something"},
    {"true", FAILURE_INTERNAL, "network plugin fake answered with something"},
    {"echo '{\"code\":11,\"msg\":\"no address left\",\"details\":\"10.0.0.0/30\"}'; exit 1",
     FAILURE_INTERNAL, "network plugin fake: no address left: 10.0.0.0/30"},
    {"echo a reason >&2; exit 3", FAILURE_INTERNAL,
     "network plugin fake ended with status 3: a reason"},
    {"kill -9 $$", FAILURE_INTERNAL, "network plugin fake was killed by signal 9"},
    {"yes | head -c 1000000000", FAILURE_INTERNAL,
     "network plugin fake wrote more than 1048576 bytes"},
    {"yes | head -c 100000000 >&2; echo end >&2; exit 1", FAILURE_INTERNAL,
     "network plugin fake ended with"},
    {"test $CNI_COMMAND = ADD && sleep 1000 & wait; exit 0", FAILURE_DEADLINE_EXCEEDED,
     "network plugin fake was not done with ADD in 500 ms"},
};

TEST(failed_add_is_explained_and_undone)
{
    for (size_t i = 0; i < sizeof(MISBEHAVIOURS) / sizeof(MISBEHAVIOURS[0]); i++) {
        CLEANUP(text_done) Text result = {0};
        uint64_t start = clock_monotonic();
        Failure why = {0};

        PREPARE();
        CHECK(script(MISBEHAVIOURS[i].script));
        if (MISBEHAVIOURS[i].code == FAILURE_DEADLINE_EXCEEDED)
            plan.timeout_ms = 500;
        CHECK(network_add(&pod, netns, &result, &why) < 0);
        finish();
        CHECK_EQ(why.code, MISBEHAVIOURS[i].code);
        if (!text_starts_with(why.text, MISBEHAVIOURS[i].sentence))
            printf("  %s\n", why.text);
        CHECK(text_starts_with(why.text, MISBEHAVIOURS[i].sentence));
        CHECK(why.text[strlen(why.text) - 1] != '?');
        CHECK_EQ(result.size, 0);
        CHECK(clock_monotonic() - start < CLOCK_SECOND * 200); /* far from the sleep's end */
        CHECK_STR(read_text("/run/cni/log"),
                  "fine ADD eth0\nfake ADD eth0\nfake DEL eth0\nfine DEL eth0\n");
        CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1);
    }
}

TEST(failed_del_is_an_error_but_every_plugin_was_asked)
{
    CLEANUP(text_done) Text result = {0};
    Failure why;

    PREPARE();
    CHECK(script("test $CNI_COMMAND = ADD && echo '{}' && exit 0; exit 5"));
    CHECK_EQ(network_add(&pod, netns, &result, &why), 0);
    CHECK(network_del(&pod, netns, result.data, &why) < 0);
    CHECK_STR(why.text, "network plugin fake ended with status 5");
    CHECK(strstr(read_text("/run/cni/log"), "fine DEL"));
    finish();
}

#define LIST_1_1(more)                                                                             \
    "{\"cniVersion\":\"1.1.0\",\"name\":\"n\"" more                                                \
    ",\"plugins\":[{\"type\":\"fine\"},{\"type\":\"fake\"}]}"

TEST(garbage_is_collected_by_every_plugin)
{
    char *ids[] = {pod.id, NULL};
    CLEANUP(cni_json_cleanup) cJSON *list = NULL;
    Failure why;

    PREPARE();
    ids[0] = pod.id;
    CHECK(script("exit 7"));
    CHECK(configure(LIST_1_1("")));
    CHECK_EQ(cni_load(conf_dir, &list, &why), 0);
    CHECK(cni_has_collection(list));
    CHECK(network_collect(&plan, list, ids, &why) < 0);
    CHECK_STR(why.text, "network plugin fake ended with status 7");
    CHECK_STR(read_text("/run/cni/log"), "fine GC\nfake GC\n");
    CHECK(strstr(read_text("/run/cni/last-GC"),
                 "\"cni.dev/valid-attachments\":[{\"containerID\":\""
                 "0123456789abcdef"));
    CHECK(strstr(read_text("/run/cni/last-GC"), "\"ifname\":\"eth0\"}]"));
    finish();
}

TEST(garbage_is_collected_only_where_the_list_has_it)
{
    static const char *const LISTS[] = {
        "{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"plugins\":[{\"type\":\"fine\"}]}",
        LIST_1_1(",\"disableGC\":true"),
    };

    for (size_t i = 0; i < sizeof(LISTS) / sizeof(LISTS[0]); i++) {
        CLEANUP(cni_json_cleanup) cJSON *list = NULL;
        Failure why;

        CHECK_EQ(cni_parse_list(LISTS[i], &list, &why), 0);
        CHECK(!cni_has_collection(list));
    }
}

TEST(nothing_is_added_while_garbage_is_collected)
{
    AUTO_CLOSE int run_fd = -1, first = -1, second = -1;
    Failure why;

    PREPARE();
    run_fd = open("/run", O_PATH | O_DIRECTORY | O_CLOEXEC);
    first = network_lock(run_fd, NETWORK_ADDS, 0, &why);
    second = network_lock(run_fd, NETWORK_ADDS, 0, &why);
    CHECK(first >= 0 && second >= 0);
    CHECK(network_lock(run_fd, NETWORK_COLLECTS, 0, &why) < 0);
    CHECK_EQ(why.code, FAILURE_DEADLINE_EXCEEDED);
    fd_close(&first);
    fd_close(&second);
    first = network_lock(run_fd, NETWORK_COLLECTS, 0, &why);
    CHECK(first >= 0);
    CHECK(network_lock(run_fd, NETWORK_ADDS, 0, &why) < 0);
    CHECK_EQ(why.code, FAILURE_DEADLINE_EXCEEDED);
    finish();
}

TEST(missing_plugin_and_missing_configuration)
{
    CLEANUP(text_done) Text result = {0};
    Failure why;

    PREPARE();
    CHECK(
        configure("{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"plugins\":[{\"type\":\"absent\"}]}"));
    CHECK(network_add(&pod, netns, &result, &why) < 0);
    CHECK_EQ(why.code, FAILURE_FAILED_PRECONDITION);
    CHECK(strstr(why.text, "absent"));
    CHECK_EQ(unlink("/run/cni/net.d/10-test.conflist"), 0);
    CHECK(network_add(&pod, netns, &result, &why) < 0);
    CHECK_EQ(why.code, FAILURE_NOT_FOUND);
    CHECK_EQ(network_del(&pod, netns, NULL, &why), 0);
    CHECK(network_del(&pod, netns, "nonsense", &why) < 0);
    finish();
}

TEST(environment_is_fixed)
{
    CLEANUP(text_done) Text result = {0};
    Failure why;

    PREPARE();
    CHECK_EQ(setenv("LD_PRELOAD_SECRET", "1", 1), 0);
    CHECK(script("env >/run/cni/env; ls /proc/self/fd >/run/cni/fds; echo '{}'"));
    CHECK_EQ(network_add(&pod, netns, &result, &why), 0);
    CHECK(!strstr(read_text("/run/cni/env"), "LD_PRELOAD_SECRET"));
    CHECK(strstr(read_text("/run/cni/env"), "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;"));
    CHECK(strstr(read_text("/run/cni/env"), "CNI_PATH=/run/cni/bin:" PLUGINS "\n"));
    CHECK_STR(read_text("/run/cni/fds"), "0\n1\n2\n3\n"); /* 3 is ls reading the directory */
    finish();
}

TEST_MAIN
