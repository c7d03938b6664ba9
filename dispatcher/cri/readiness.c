/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cri/readiness.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/file.h"

enum { CONFIGURATION_MAX = 1024 * 1024 };

static void json_cleanup(cJSON **json)
{
    cJSON_Delete(*json);
}

static void directory_cleanup(DIR **directory)
{
    if (*directory)
        (void)closedir(*directory); /* Only read. */
}

static bool ends_with(const char *name, const char *suffix)
{
    size_t length = strlen(name), suffix_length = strlen(suffix);

    return length > suffix_length && strcmp(name + length - suffix_length, suffix) == 0;
}

static bool is_configuration(const char *name)
{
    return *name != '.' &&
           (ends_with(name, ".conflist") || ends_with(name, ".conf") || ends_with(name, ".json"));
}

/* The first name in byte order; empty without any. */
static void find_first(DIR *directory, char ret[NAME_MAX + 1])
{
    struct dirent *entry;

    *ret = '\0';
    while ((entry = readdir(directory)))
        if (is_configuration(entry->d_name) && (!*ret || strcmp(entry->d_name, ret) < 0))
            (void)snprintf(ret, NAME_MAX + 1, "%s", entry->d_name); /* d_name always fits. */
}

static bool has_text(const cJSON *object, const char *member)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, member);

    return cJSON_IsString(value) && *value->valuestring;
}

int readiness_check_network(const char *text, bool list, Failure *why)
{
    CLEANUP(json_cleanup) cJSON *json = cJSON_Parse(text);
    const cJSON *plugins, *plugin;

    if (!cJSON_IsObject(json))
        return failure_say(why, FAILURE_FAILED_PRECONDITION, "is not a JSON object");
    if (!has_text(json, "name"))
        return failure_say(why, FAILURE_FAILED_PRECONDITION, "has no name");
    if (!list)
        return has_text(json, "type")
                   ? 0
                   : failure_say(why, FAILURE_FAILED_PRECONDITION, "has no type");
    plugins = cJSON_GetObjectItemCaseSensitive(json, "plugins");
    if (!cJSON_IsArray(plugins) || cJSON_GetArraySize(plugins) == 0)
        return failure_say(why, FAILURE_FAILED_PRECONDITION, "has no plugins");
    for (plugin = plugins->child; plugin; plugin = plugin->next)
        if (!has_text(plugin, "type"))
            return failure_say(why, FAILURE_FAILED_PRECONDITION, "has a plugin without a type");
    return 0;
}

int readiness_find_network(const char *conf_dir, char *ret_path, Failure *why)
{
    CLEANUP(directory_cleanup) DIR *directory = opendir(conf_dir);
    AUTO_FREE char *text = NULL;
    char name[NAME_MAX + 1] = "";
    int r;

    if (!directory && errno != ENOENT)
        return failure_set(why, FAILURE_FAILED_PRECONDITION, errno, "cannot read %s", conf_dir);
    if (directory)
        find_first(directory, name);
    if (!*name)
        return failure_say(why, FAILURE_FAILED_PRECONDITION,
                           "there is no CNI configuration (*.conflist, *.conf, *.json) in %s",
                           conf_dir);
    r = file_read_at(dirfd(directory), name, CONFIGURATION_MAX, &text, NULL);
    if (r < 0)
        return failure_set(why, FAILURE_FAILED_PRECONDITION, -r, "cannot read %s/%s", conf_dir,
                           name);
    r = readiness_check_network(text, ends_with(name, ".conflist"), why);
    if (r < 0) {
        failure_prefix(why, "the CNI configuration %s/%s", conf_dir, name);
        return r;
    }
    (void)snprintf(ret_path, READINESS_PATH_SIZE, "%s/%s", conf_dir, name);
    return 0;
}
