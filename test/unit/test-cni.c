/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/cni.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/file.h"
#include "shared/text.h"
#include "test/unit/test.h"

TEST(list_is_parsed)
{
    CLEANUP(cni_json_cleanup) cJSON *list = NULL;

    CHECK_EQ(cni_parse_list(
                 "{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"plugins\":[{\"type\":\"bridge\"}]}\n",
                 &list, NULL),
             0);
    CHECK(cni_has_check(list));
}

TEST(single_configuration_becomes_a_list)
{
    CLEANUP(cni_json_cleanup) cJSON *list = NULL;

    CHECK_EQ(
        cni_parse_list("{\"cniVersion\":\"0.3.1\",\"name\":\"n\",\"type\":\"ptp\"}", &list, NULL),
        0);
    CHECK_EQ(cJSON_GetArraySize(cJSON_GetObjectItem(list, "plugins")), 1);
    CHECK(!cni_has_check(list));
}

TEST(bad_lists_are_refused_with_the_field)
{
    static const struct {
        const char *text, *word;
    } rows[] = {
        {"", "JSON"},
        {"[]", "JSON"},
        {"{} x", "JSON"},
        {"{\"cniVersion\":\"1.0.0\"", "JSON"},
        {"{\"cniVersion\":\"0.2.0\",\"name\":\"n\",\"plugins\":[{\"type\":\"a\"}]}", "cniVersion"},
        {"{\"name\":\"n\",\"plugins\":[{\"type\":\"a\"}]}", "cniVersion"},
        {"{\"cniVersion\":1,\"name\":\"n\",\"plugins\":[{\"type\":\"a\"}]}", "cniVersion"},
        {"{\"cniVersion\":\"1.0.0\",\"plugins\":[{\"type\":\"a\"}]}", "name"},
        {"{\"cniVersion\":\"1.0.0\",\"name\":\"../n\",\"plugins\":[{\"type\":\"a\"}]}", "name"},
        {"{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"plugins\":[]}", "plugins"},
        {"{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"plugins\":{}}", "plugins"},
        {"{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"plugins\":[7]}", "type"},
        {"{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"plugins\":[{}]}", "type"},
        {"{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"plugins\":[{\"type\":\"../sh\"}]}", "type"},
        {"{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"plugins\":[{\"type\":\"\"}]}", "type"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cJSON *list = NULL;
        Failure why;

        CHECK(cni_parse_list(rows[i].text, &list, &why) < 0);
        CHECK(!list);
        CHECK_EQ(why.code, FAILURE_FAILED_PRECONDITION);
        CHECK(strstr(why.text, rows[i].word));
    }
}

static Podmon__PodName pod_name;
static Podmon__NetworkPlan plan;
static Podmon__PodSpec pod;
static char id[] = "0123", name_space[] = "default", name[] = "web", uid[] = "u-1";

static void make_pod(void)
{
    podmon__pod_name__init(&pod_name);
    podmon__network_plan__init(&plan);
    podmon__pod_spec__init(&pod);
    pod_name.namespace_ = name_space;
    pod_name.name = name;
    pod_name.uid = uid;
    pod.id = id;
    pod.name = &pod_name;
    pod.network = &plan;
}

TEST(arguments_name_the_pod)
{
    AUTO_FREE char *text = NULL;

    make_pod();
    CHECK_EQ(cni_arguments(&pod, &text, NULL), 0);
    CHECK_STR(text,
              "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;"
              "K8S_POD_INFRA_CONTAINER_ID=0123;K8S_POD_UID=u-1");
}

TEST(arguments_cannot_be_smuggled_in)
{
    char evil[] = "a;IgnoreUnknown=0", line[] = "a\nb";
    char *text = NULL;
    Failure why;

    make_pod();
    pod_name.name = evil;
    CHECK(cni_arguments(&pod, &text, &why) < 0);
    CHECK_EQ(why.code, FAILURE_INVALID_ARGUMENT);
    CHECK(strstr(why.text, "metadata.name"));
    pod_name.name = line;
    CHECK(cni_arguments(&pod, &text, &why) < 0);
    CHECK(!text);
}

TEST(capabilities_get_their_arguments)
{
    CLEANUP(cni_json_cleanup) cJSON *list = NULL, *args = NULL, *previous = NULL;
    AUTO_FREE char *config = NULL, *other = NULL;
    Podmon__PortMapping mapping = PODMON__PORT_MAPPING__INIT, unused = PODMON__PORT_MAPPING__INIT;
    Podmon__PortMapping *mappings[] = {&mapping, &unused};
    char tcp[] = "tcp", server[] = "10.0.0.1", *servers[] = {server};

    make_pod();
    mapping.protocol = tcp;
    mapping.container_port = 80;
    mapping.host_port = 8080;
    unused.protocol = tcp;
    unused.container_port = 81;
    plan.port_mappings = mappings;
    plan.n_port_mappings = 2;
    plan.dns_servers = servers;
    plan.n_dns_servers = 1;
    CHECK_EQ(
        cni_parse_list("{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"plugins\":["
                       "{\"type\":\"a\",\"capabilities\":{\"portMappings\":true,\"dns\":false}},"
                       "{\"type\":\"b\",\"runtimeConfig\":1,\"prevResult\":2}]}",
                       &list, NULL),
        0);
    CHECK_EQ(cni_capability_args(&pod, &args, NULL), 0);
    CHECK_EQ(cni_parse_result("{\"ips\":[]}", &previous), 0);
    CHECK_EQ(cni_plugin_config(list, cJSON_GetArrayItem(cJSON_GetObjectItem(list, "plugins"), 0),
                               args, NULL, &config),
             0);
    CHECK_STR(config,
              "{\"type\":\"a\",\"capabilities\":{\"portMappings\":true,\"dns\":false},"
              "\"name\":\"n\",\"cniVersion\":\"1.0.0\",\"runtimeConfig\":{\"portMappings\":["
              "{\"hostPort\":8080,\"containerPort\":80,\"protocol\":\"tcp\"}]}}");
    CHECK_EQ(cni_plugin_config(list, cJSON_GetArrayItem(cJSON_GetObjectItem(list, "plugins"), 1),
                               args, previous, &other),
             0);
    CHECK_STR(other,
              "{\"type\":\"b\",\"name\":\"n\",\"cniVersion\":\"1.0.0\","
              "\"prevResult\":{\"ips\":[]}}");
}

TEST(answers)
{
    cJSON *result = NULL;
    char text[32];

    CHECK_EQ(cni_parse_result("", &result), -EBADMSG);
    CHECK_EQ(cni_parse_result("garbage", &result), -EBADMSG);
    CHECK_EQ(cni_parse_result("[]", &result), -EBADMSG);
    CHECK_EQ(cni_parse_result("{\"code\":7}", &result), -EBADMSG);
    CHECK_EQ(cni_parse_result("{} {}", &result), -EBADMSG);
    CHECK(!cni_describe_error("garbage", text, sizeof(text)));
    CHECK(!cni_describe_error("{\"msg\":7}", text, sizeof(text)));
    CHECK(
        cni_describe_error("{\"code\":7,\"msg\":\"no\",\"details\":\"why\"}", text, sizeof(text)));
    CHECK_STR(text, "no: why");
}

TEST(first_file_that_parses_is_used)
{
    static const char good[] =
        "{\"cniVersion\":\"1.0.0\",\"name\":\"good\",\"plugins\":[{\"type\":\"a\"}]}";
    char directory[] = "/tmp/podmon-test-cni-XXXXXX";
    CLEANUP(cni_json_cleanup) cJSON *list = NULL;
    AUTO_CLOSE int fd = -1;
    Failure why;
    int r;

    CHECK_EQ(cni_load("/nonexistent", &list, &why), -ENOENT);
    CHECK_EQ(why.code, FAILURE_NOT_FOUND);
    CHECK(mkdtemp(directory));
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK_EQ(file_write_at(fd, "00-readme.txt", good, strlen(good), 0600, FILE_SYNC_NO), 0);
    CHECK_EQ(cni_load(directory, &list, &why), -ENOENT);
    CHECK_EQ(file_write_at(fd, "10-bad.conflist", "{", 1, 0600, FILE_SYNC_NO), 0);
    CHECK(cni_load(directory, &list, &why) < 0);
    CHECK_EQ(why.code, FAILURE_FAILED_PRECONDITION);
    CHECK(strstr(why.text, "10-bad.conflist"));
    CHECK_EQ(file_write_at(fd, "20-good.json", good, strlen(good), 0600, FILE_SYNC_NO), 0);
    r = cni_load(directory, &list, &why);
    CHECK_EQ(file_delete_tree_at(AT_FDCWD, directory), 0);
    CHECK_EQ(r, 0);
    CHECK_STR(cJSON_GetStringValue(cJSON_GetObjectItem(list, "name")), "good");
}

TEST_MAIN
