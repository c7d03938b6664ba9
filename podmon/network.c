/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "podmon/cni.h"
#include "podmon/cni_plugin.h"
#include "shared/cleanup.h"
#include "shared/log.h"

#define AUTO_JSON CLEANUP(cni_json_cleanup)

/* The pod's attachment to its network, as it is kept: {"config", "result", "capabilityArgs"}. */
typedef struct Attachment {
    CniCall call;
    char *arguments;
    cJSON *config;
    cJSON *capability_args;
    cJSON *result; /* NULL: none yet */
} Attachment;

static void attachment_done(Attachment *attachment)
{
    free(attachment->arguments);
    cJSON_Delete(attachment->config);
    cJSON_Delete(attachment->capability_args);
    cJSON_Delete(attachment->result);
}

static int attachment_prepare(const Podmon__PodSpec *pod, const char *netns, Attachment *attachment,
                              Failure *why)
{
    int r = cni_arguments(pod, &attachment->arguments, why);

    if (r < 0)
        return r;
    attachment->call = (CniCall){
        .plan = pod->network,
        .container_id = pod->id,
        .netns = netns,
        .arguments = attachment->arguments,
    };
    return 0;
}

static int attachment_from_directory(const Podmon__PodSpec *pod, Attachment *attachment,
                                     Failure *why)
{
    int r = cni_load(pod->network->conf_dir, &attachment->config, why);

    return r < 0 ? r : cni_capability_args(pod, &attachment->capability_args, why);
}

static int attachment_from_cache(const char *cache, Attachment *attachment, Failure *why)
{
    AUTO_JSON cJSON *json = cJSON_Parse(cache);
    AUTO_FREE char *config = NULL;
    cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "config");

    config = list ? cJSON_PrintUnformatted(list) : NULL;
    if (!config)
        return failure_say(why, FAILURE_INTERNAL, "the kept network result cannot be read");
    attachment->result = cJSON_DetachItemFromObjectCaseSensitive(json, "result");
    attachment->capability_args = cJSON_DetachItemFromObjectCaseSensitive(json, "capabilityArgs");
    return cni_parse_list(config, &attachment->config, why);
}

static int attachment_print(const Attachment *attachment, Text *ret, Failure *why)
{
    AUTO_JSON cJSON *json = cJSON_CreateObject();
    AUTO_FREE char *text = NULL;

    if (cJSON_AddItemReferenceToObject(json, "config", attachment->config) &&
        cJSON_AddItemReferenceToObject(json, "result", attachment->result) &&
        cJSON_AddItemReferenceToObject(json, "capabilityArgs", attachment->capability_args))
        text = cJSON_PrintUnformatted(json);
    if (!text || text_add(ret, text) < 0)
        return failure_set(why, FAILURE_RESOURCE_EXHAUSTED, ENOMEM, "network");
    return 0;
}

static int call_plugin(const Attachment *attachment, const cJSON *plugin, const cJSON *previous,
                       Text *ret_output, Failure *why)
{
    const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(plugin, "type"));
    AUTO_FREE char *config = NULL;
    int r = cni_plugin_config(attachment->config, plugin, attachment->capability_args, previous,
                              &config);

    if (r < 0)
        return failure_set(why, FAILURE_RESOURCE_EXHAUSTED, -r, "network plugin %s", type);
    return cni_plugin_run(&attachment->call, type, config, ret_output, why);
}

static const cJSON *plugins_of(const Attachment *attachment)
{
    return cJSON_GetObjectItemCaseSensitive(attachment->config, "plugins");
}

/* Every plugin, the last one first, whether or not another fails: what one of them holds must not
 * be kept because of a second. The first failure is returned. */
static int attachment_delete(Attachment *attachment, Failure *why)
{
    const cJSON *previous = cni_has_check(attachment->config) ? attachment->result : NULL;
    const cJSON *plugins = plugins_of(attachment);
    int result = 0;

    attachment->call.command = "DEL";
    for (int i = cJSON_GetArraySize(plugins) - 1; i >= 0; i--) {
        CLEANUP(text_done) Text output = {0};
        int r = call_plugin(attachment, cJSON_GetArrayItem(plugins, i), previous, &output,
                            result == 0 ? why : NULL);

        if (result == 0)
            result = r;
    }
    return result;
}

static int add_one(Attachment *attachment, const cJSON *plugin, Failure *why)
{
    CLEANUP(text_done) Text output = {0};
    cJSON *result = NULL;
    int r = call_plugin(attachment, plugin, attachment->result, &output, why);

    if (r < 0)
        return r;
    if (cni_parse_result(output.data ? output.data : "", &result) < 0)
        return failure_say(why, FAILURE_INTERNAL,
                           "network plugin %s answered with something that is no result",
                           cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(plugin, "type")));
    cJSON_Delete(attachment->result);
    attachment->result = result;
    return 0;
}

int network_add(const Podmon__PodSpec *pod, const char *netns, Text *ret_result, Failure *why)
{
    CLEANUP(attachment_done) Attachment attachment = {0};
    const cJSON *plugin;
    int r = attachment_prepare(pod, netns, &attachment, why);

    if (r == 0)
        r = attachment_from_directory(pod, &attachment, why);
    if (r < 0)
        return r;
    attachment.call.command = "ADD";
    cJSON_ArrayForEach(plugin, plugins_of(&attachment))
    {
        r = add_one(&attachment, plugin, why);
        if (r < 0)
            break;
    }
    if (r == 0)
        r = attachment_print(&attachment, ret_result, why);
    if (r < 0) {
        Failure undo;
        if (attachment_delete(&attachment, &undo) < 0)
            log_warning("After the network could not be had, DEL failed: %s", undo.text);
    }
    return r;
}

int network_check(const Podmon__PodSpec *pod, const char *netns, const char *result, Failure *why)
{
    CLEANUP(attachment_done) Attachment attachment = {0};
    const cJSON *plugin;
    int r = attachment_prepare(pod, netns, &attachment, why);

    if (r == 0)
        r = attachment_from_cache(result, &attachment, why);
    if (r < 0 || !cni_has_check(attachment.config) ||
        cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(attachment.config, "disableCheck")))
        return r;
    attachment.call.command = "CHECK";
    cJSON_ArrayForEach(plugin, plugins_of(&attachment))
    {
        CLEANUP(text_done) Text output = {0};
        r = call_plugin(&attachment, plugin, attachment.result, &output, why);
        if (r < 0)
            return r;
    }
    return 0;
}

int network_del(const Podmon__PodSpec *pod, const char *netns, const char *result, Failure *why)
{
    CLEANUP(attachment_done) Attachment attachment = {0};
    Failure failure;
    int r = attachment_prepare(pod, netns, &attachment, why);

    if (r < 0)
        return r;
    if (result) {
        r = attachment_from_cache(result, &attachment, why);
        return r < 0 ? r : attachment_delete(&attachment, why);
    }
    r = attachment_from_directory(pod, &attachment, &failure);
    if (r < 0 && failure.code == FAILURE_NOT_FOUND)
        return 0; /* without a configuration nothing can have been attached */
    if (r == 0)
        return attachment_delete(&attachment, why);
    if (why)
        *why = failure;
    return r;
}

/* [{"containerID", "ifname"}, …] */
static cJSON *make_attachments(char *const *ids)
{
    cJSON *list = cJSON_CreateArray();

    for (; list && *ids; ids++) {
        cJSON *item = cJSON_CreateObject();

        if (cJSON_AddItemToArray(list, item) &&
            cJSON_AddStringToObject(item, "containerID", *ids) &&
            cJSON_AddStringToObject(item, "ifname", CNI_INTERFACE))
            continue;
        cJSON_Delete(list);
        list = NULL;
    }
    return list;
}

static int collect_one(const Attachment *attachment, const cJSON *plugin, const cJSON *valid,
                       Failure *why)
{
    AUTO_JSON cJSON *config = cJSON_Duplicate(plugin, true);
    CLEANUP(text_done) Text output = {0};

    if (!cJSON_AddItemToObject(config, CNI_ATTACHMENTS, cJSON_Duplicate(valid, true)) ||
        !cJSON_AddItemToObject(config, CNI_ATTACHMENTS_OLD, cJSON_Duplicate(valid, true)))
        return failure_set(why, FAILURE_RESOURCE_EXHAUSTED, ENOMEM, "network");
    return call_plugin(attachment, config, NULL, &output, why);
}

int network_collect(const Podmon__NetworkPlan *plan, const cJSON *list, char *const *ids,
                    Failure *why)
{
    const Attachment attachment = {
        .call = {.plan = plan, .command = "GC"}, .config = (cJSON *)(uintptr_t)list, /* only read */
    };
    AUTO_JSON cJSON *valid = make_attachments(ids);
    const cJSON *plugin;
    int result = 0;

    if (!valid)
        return failure_set(why, FAILURE_RESOURCE_EXHAUSTED, ENOMEM, "network");
    cJSON_ArrayForEach(plugin, plugins_of(&attachment))
    {
        int r = collect_one(&attachment, plugin, valid, result == 0 ? why : NULL);
        if (result == 0)
            result = r;
    }
    return result;
}

/* Appends the addresses of one family. */
static int add_addresses(const cJSON *ips, int family, char ***list)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, ips)
    {
        const char *address =
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "address"));
        char text[INET6_ADDRSTRLEN];
        struct in6_addr binary;
        size_t size = address ? strcspn(address, "/") : 0;
        int r;

        if (size == 0 || size >= sizeof(text))
            continue;
        memcpy(text, address, size);
        text[size] = '\0';
        if (inet_pton(family, text, &binary) != 1)
            continue;
        r = text_list_add(list, text);
        if (r < 0)
            return r;
    }
    return 0;
}

int network_addresses(const char *result, char ***ret)
{
    CLEANUP(text_list_cleanup) char **list = NULL;
    AUTO_JSON cJSON *json = cJSON_Parse(result);
    const cJSON *ips =
        cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(json, "result"), "ips");
    int r;

    if (!cJSON_IsObject(json))
        return -EBADMSG;
    r = add_addresses(ips, AF_INET, &list);
    if (r == 0)
        r = add_addresses(ips, AF_INET6, &list);
    if (r == 0)
        *ret = TAKE(list);
    return r;
}
