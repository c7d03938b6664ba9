/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/cni.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/file.h"
#include "shared/path.h"
#include "shared/text.h"

#define AUTO_JSON CLEANUP(cni_json_cleanup)

static const char *string_of(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static bool is_plain_name(const char *name)
{
    return name && path_is_name(name) && name[0] != '.' && name[0] != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
               strlen(name);
}

static int check_list(const cJSON *list, Failure *why)
{
    static const char *const versions[] = {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};
    const cJSON *plugins = cJSON_GetObjectItemCaseSensitive(list, "plugins"), *plugin;
    const char *version = string_of(list, "cniVersion");
    bool known = false;

    for (size_t i = 0; version && i < sizeof(versions) / sizeof(versions[0]); i++)
        known = known || strcmp(version, versions[i]) == 0;
    if (!known)
        return failure_say(why, FAILURE_FAILED_PRECONDITION,
                           "cniVersion: \"%.32s\" is none of 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0",
                           version ? version : "");
    if (!is_plain_name(string_of(list, "name")))
        return failure_say(why, FAILURE_FAILED_PRECONDITION, "name: \"%.64s\" is no network's name",
                           string_of(list, "name") ? string_of(list, "name") : "");
    if (cJSON_GetArraySize(plugins) < 1 || cJSON_GetArraySize(plugins) > CNI_PLUGINS_MAX)
        return failure_say(why, FAILURE_FAILED_PRECONDITION, "plugins: not a list of 1 to %d",
                           CNI_PLUGINS_MAX);
    cJSON_ArrayForEach(plugin, plugins)
    {
        const char *type = string_of(plugin, "type");
        if (!is_plain_name(type))
            return failure_say(why, FAILURE_FAILED_PRECONDITION,
                               "plugins: type \"%.64s\" is no plugin's name", type ? type : "");
    }
    return 0;
}

/* A list of the one plugin that `single` is. Takes it; NULL without memory. */
static cJSON *wrap_single(cJSON *single)
{
    AUTO_JSON cJSON *plugin = single;
    AUTO_JSON cJSON *list = cJSON_CreateObject();
    const char *version = string_of(plugin, "cniVersion"), *name = string_of(plugin, "name");
    cJSON *plugins = cJSON_AddArrayToObject(list, "plugins");

    if ((version && !cJSON_AddStringToObject(list, "cniVersion", version)) ||
        (name && !cJSON_AddStringToObject(list, "name", name)) ||
        !cJSON_AddItemToArray(plugins, plugin))
        return NULL;
    plugin = NULL;
    return TAKE(list);
}

int cni_parse_list(const char *text, cJSON **ret, Failure *why)
{
    AUTO_JSON cJSON *list = cJSON_ParseWithOpts(text, NULL, true);
    int r;

    if (!cJSON_IsObject(list))
        return failure_say(why, FAILURE_FAILED_PRECONDITION, "it is not a JSON object");
    if (!cJSON_HasObjectItem(list, "plugins")) {
        list = wrap_single(list);
        if (!list)
            return failure_set(why, FAILURE_RESOURCE_EXHAUSTED, ENOMEM, "cannot be read");
    }
    r = check_list(list, why);
    if (r == 0)
        *ret = TAKE(list);
    return r;
}

static int is_configuration(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');

    return dot && (strcmp(dot, ".conflist") == 0 || strcmp(dot, ".conf") == 0 ||
                   strcmp(dot, ".json") == 0);
}

static int load_file(const char *directory, const char *name, cJSON **ret, Failure *why)
{
    AUTO_FREE char *path = NULL, *text = NULL;
    size_t size;
    int r;

    if (asprintf(&path, "%s/%s", directory, name) < 0) {
        path = NULL;
        return failure_set(why, FAILURE_RESOURCE_EXHAUSTED, ENOMEM, "%s", name);
    }
    r = file_read_at(AT_FDCWD, path, CNI_CONFIG_MAX, &text, &size);
    if (r < 0)
        return failure_set(why, FAILURE_FAILED_PRECONDITION, -r, "cannot read %s", path);
    r = cni_parse_list(strlen(text) == size ? text : "", ret, why);
    if (r < 0)
        failure_prefix(why, "%s", path);
    return r;
}

int cni_load(const char *directory, cJSON **ret, Failure *why)
{
    struct dirent **names = NULL;
    int count = scandir(directory, &names, is_configuration, alphasort);
    int r;

    if (count <= 0)
        r = failure_say(why, FAILURE_NOT_FOUND, "there is no network configuration in %s",
                        directory);
    else
        r = load_file(directory, names[0]->d_name, ret, why);
    for (int i = 1; r < 0 && i < count; i++)
        r = load_file(directory, names[i]->d_name, ret, NULL);
    for (int i = 0; i < count; i++)
        free(names[i]);
    free(names);
    return r;
}

bool cni_has_check(const cJSON *list)
{
    return !text_starts_with(string_of(list, "cniVersion"), "0.3.");
}

bool cni_has_collection(const cJSON *list)
{
    return strcmp(string_of(list, "cniVersion"), "1.1.0") == 0 &&
           !cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(list, "disableGC"));
}

static bool add_port_mappings(cJSON *args, const Podmon__NetworkPlan *plan)
{
    cJSON *mappings = NULL;

    for (size_t i = 0; i < plan->n_port_mappings; i++) {
        const Podmon__PortMapping *mapping = plan->port_mappings[i];
        cJSON *item;

        if (mapping->host_port <= 0)
            continue;
        if (!mappings)
            mappings = cJSON_AddArrayToObject(args, "portMappings");
        item = cJSON_CreateObject();
        if (!cJSON_AddItemToArray(mappings, item) ||
            !cJSON_AddNumberToObject(item, "hostPort", mapping->host_port) ||
            !cJSON_AddNumberToObject(item, "containerPort", mapping->container_port) ||
            !cJSON_AddStringToObject(item, "protocol", mapping->protocol) ||
            (*mapping->host_ip && !cJSON_AddStringToObject(item, "hostIP", mapping->host_ip)))
            return false;
    }
    return true;
}

static bool add_strings(cJSON *object, const char *name, char *const *strings, size_t count)
{
    cJSON *list = count > 0 ? cJSON_AddArrayToObject(object, name) : NULL;

    for (size_t i = 0; i < count; i++)
        if (!cJSON_AddItemToArray(list, cJSON_CreateString(strings[i])))
            return false;
    return true;
}

static bool add_dns(cJSON *args, const Podmon__NetworkPlan *plan)
{
    cJSON *dns;

    if (plan->n_dns_servers + plan->n_dns_searches + plan->n_dns_options == 0)
        return true;
    dns = cJSON_AddObjectToObject(args, "dns");
    return add_strings(dns, "servers", plan->dns_servers, plan->n_dns_servers) &&
           add_strings(dns, "searches", plan->dns_searches, plan->n_dns_searches) &&
           add_strings(dns, "options", plan->dns_options, plan->n_dns_options);
}

int cni_capability_args(const Podmon__PodSpec *pod, cJSON **ret, Failure *why)
{
    AUTO_JSON cJSON *args = cJSON_CreateObject();

    if (!args || !add_port_mappings(args, pod->network) || !add_dns(args, pod->network))
        return failure_set(why, FAILURE_RESOURCE_EXHAUSTED, ENOMEM, "network");
    *ret = TAKE(args);
    return 0;
}

static bool add_runtime_config(cJSON *config, const cJSON *capability_args)
{
    const cJSON *capabilities = cJSON_GetObjectItemCaseSensitive(config, "capabilities");
    const cJSON *argument;
    cJSON *runtime = NULL;

    cJSON_ArrayForEach(argument, capability_args)
    {
        if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(capabilities, argument->string)))
            continue;
        if (!runtime)
            runtime = cJSON_AddObjectToObject(config, "runtimeConfig");
        if (!cJSON_AddItemToObject(runtime, argument->string, cJSON_Duplicate(argument, true)))
            return false;
    }
    return true;
}

int cni_plugin_config(const cJSON *list, const cJSON *plugin, const cJSON *capability_args,
                      const cJSON *previous, char **ret)
{
    static const char *const set_here[] = {"name", "cniVersion", "prevResult", "runtimeConfig"};
    AUTO_JSON cJSON *config = cJSON_Duplicate(plugin, true);
    char *text;

    for (size_t i = 0; i < sizeof(set_here) / sizeof(set_here[0]); i++)
        cJSON_DeleteItemFromObjectCaseSensitive(config, set_here[i]);
    if (!cJSON_AddStringToObject(config, "name", string_of(list, "name")) ||
        !cJSON_AddStringToObject(config, "cniVersion", string_of(list, "cniVersion")) ||
        !add_runtime_config(config, capability_args) ||
        (previous && !cJSON_AddItemToObject(config, "prevResult", cJSON_Duplicate(previous, true))))
        return -ENOMEM;
    text = cJSON_PrintUnformatted(config);
    if (!text)
        return -ENOMEM;
    *ret = text;
    return 0;
}

int cni_arguments(const Podmon__PodSpec *pod, char **ret, Failure *why)
{
    const struct {
        const char *key;
        const char *field;
        const char *value;
    } arguments[] = {
        {"K8S_POD_NAMESPACE", "namespace", pod->name->namespace_},
        {"K8S_POD_NAME", "name", pod->name->name},
        {"K8S_POD_INFRA_CONTAINER_ID", "id", pod->id},
        {"K8S_POD_UID", "uid", pod->name->uid},
    };
    CLEANUP(text_done) Text text = {0};
    int r = text_add(&text, "IgnoreUnknown=1");

    for (size_t i = 0; r == 0 && i < sizeof(arguments) / sizeof(arguments[0]); i++) {
        if (strchr(arguments[i].value, ';') || !text_is_printable(arguments[i].value))
            return failure_say(why, FAILURE_INVALID_ARGUMENT,
                               "metadata.%s: \"%s\" cannot be given to a network plugin",
                               arguments[i].field, arguments[i].value);
        r = text_print(&text, ";%s=%s", arguments[i].key, arguments[i].value);
    }
    if (r < 0)
        return failure_set(why, FAILURE_RESOURCE_EXHAUSTED, -r, "network");
    *ret = TAKE(text.data);
    return 0;
}

int cni_parse_result(const char *text, cJSON **ret)
{
    AUTO_JSON cJSON *result = cJSON_ParseWithOpts(text, NULL, true);

    if (!cJSON_IsObject(result) || cJSON_HasObjectItem(result, "code"))
        return -EBADMSG;
    *ret = TAKE(result);
    return 0;
}

bool cni_describe_error(const char *text, char *ret, size_t size)
{
    AUTO_JSON cJSON *error = cJSON_Parse(text);
    const char *message = string_of(error, "msg"), *details = string_of(error, "details");

    if (!message || !*message)
        return false;
    if (details && *details)
        (void)snprintf(ret, size, "%s: %s", message, details);
    else
        (void)snprintf(ret, size, "%s", message);
    return true;
}
