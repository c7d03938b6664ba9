/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cri/cdi.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "dispatcher/cri/check.h"
#include "dispatcher/cri/yaml.h"
#include "shared/cleanup.h"
#include "shared/file.h"
#include "shared/text.h"

enum { FILE_SIZE_MAX = 1024 * 1024, ITEMS_MAX = 256 };

static void json_done(cJSON **json)
{
    cJSON_Delete(*json);
}

static int parse_json(const char *text, cJSON **ret)
{
    cJSON *json = cJSON_Parse(text);

    if (!json)
        return -EINVAL;
    *ret = json;
    return 0;
}

static const char *member(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));

    return text ? text : "";
}

static int refuse(Failure *why, const char *name, const char *what, const char *value)
{
    return failure_say(why, FAILURE_INVALID_ARGUMENT,
                       "config.CDI_devices: the file of \"%.200s\" has %s \"%.200s\"", name, what,
                       value);
}

/* A list with room for one more. */
static void *longer(Arena *arena, void *list, size_t count, size_t size)
{
    void *copy = arena_alloc_array(arena, count + 1, size);

    if (count > 0)
        memcpy(copy, list, count * size);
    return copy;
}

static int add_variable(Arena *arena, const cJSON *json, const char *name,
                        Podmon__ContainerSpec *spec, Failure *why)
{
    const char *text = cJSON_GetStringValue(json);

    if (!text || !strchr(text, '=') || *text == '=')
        return refuse(why, name, "a variable", text ? text : "");
    spec->env = longer(arena, spec->env, spec->n_env, sizeof(*spec->env));
    spec->env[spec->n_env++] = arena_copy(arena, text);
    return 0;
}

static int add_node(Arena *arena, const cJSON *json, const char *name, Podmon__ContainerSpec *spec,
                    Failure *why)
{
    Podmon__Device *device = arena_alloc(arena, sizeof(*device));
    const char *path = member(json, "path"), *host = member(json, "hostPath");
    const char *permissions = member(json, "permissions");

    if (check_absolute_path(path) || (*host && check_absolute_path(host)))
        return refuse(why, name, "a device node", *path ? path : host);
    if (permissions[strspn(permissions, "rwm")])
        return refuse(why, name, "the permissions", permissions);
    podmon__device__init(device);
    device->container_path = arena_copy(arena, path);
    device->host_path = arena_copy(arena, *host ? host : path);
    device->permissions = arena_copy(arena, *permissions ? permissions : "rwm");
    spec->devices = longer(arena, spec->devices, spec->n_devices, sizeof(*spec->devices));
    spec->devices[spec->n_devices++] = device;
    return 0;
}

static int set_option(Podmon__Mount *mount, const char *option)
{
    static const char *const usual[] = {"bind", "rbind", "rw", "private", "rprivate"};

    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
        if (strcmp(option, usual[i]) == 0)
            return 0;
    if (strcmp(option, "ro") == 0)
        mount->read_only = true;
    else if (strcmp(option, "nosuid") == 0)
        mount->no_suid = true;
    else if (strcmp(option, "nodev") == 0)
        mount->no_dev = true;
    else if (strcmp(option, "noexec") == 0)
        mount->no_exec = true;
    else
        return -EINVAL;
    return 0;
}

static int add_mount(Arena *arena, const cJSON *json, const char *name, Podmon__ContainerSpec *spec,
                     Failure *why)
{
    Podmon__Mount *mount = arena_alloc(arena, sizeof(*mount));
    const char *path = member(json, "containerPath"), *host = member(json, "hostPath");
    const cJSON *option;

    if (check_absolute_path(path) || check_absolute_path(host))
        return refuse(why, name, "a mount", *path ? path : host);
    podmon__mount__init(mount);
    mount->destination = arena_copy(arena, path);
    mount->source = arena_copy(arena, host);
    cJSON_ArrayForEach(option, cJSON_GetObjectItemCaseSensitive(json, "options"))
    {
        const char *text = cJSON_GetStringValue(option);

        if (!text || set_option(mount, text) < 0)
            return refuse(why, name, "the mount option", text ? text : "");
    }
    spec->mounts = longer(arena, spec->mounts, spec->n_mounts, sizeof(*spec->mounts));
    spec->mounts[spec->n_mounts++] = mount;
    return 0;
}

static int add_group(Arena *arena, const cJSON *json, const char *name, Podmon__ContainerSpec *spec,
                     Failure *why)
{
    Podmon__UserPlan *user = spec->user;

    if (!cJSON_IsNumber(json) || json->valuedouble < 0 || json->valuedouble > UINT32_MAX)
        return refuse(why, name, "a group that is", "not a number");
    user->supplemental_groups =
        longer(arena, user->supplemental_groups, user->n_supplemental_groups,
               sizeof(*user->supplemental_groups));
    user->supplemental_groups[user->n_supplemental_groups++] = (uint32_t)json->valuedouble;
    return 0;
}

/* What a container can need. */
static const struct {
    const char *member;
    int (*add)(Arena *arena, const cJSON *json, const char *name, Podmon__ContainerSpec *spec,
               Failure *why);
} EDITS[] = {
    {"env", add_variable},
    {"deviceNodes", add_node},
    {"mounts", add_mount},
    {"additionalGids", add_group},
};

static int apply_edits(Arena *arena, const cJSON *edits, const char *name,
                       Podmon__ContainerSpec *spec, Failure *why)
{
    static const char *const unmet[] = {"hooks", "intelRdt", "netDevices"};

    for (size_t i = 0; i < sizeof(unmet) / sizeof(unmet[0]); i++)
        if (cJSON_GetObjectItemCaseSensitive(edits, unmet[i]))
            return failure_say(why, FAILURE_UNIMPLEMENTED,
                               "config.CDI_devices: \"%.200s\" wants %s, which are not supported",
                               name, unmet[i]);
    for (size_t i = 0; i < sizeof(EDITS) / sizeof(EDITS[0]); i++) {
        const cJSON *list = cJSON_GetObjectItemCaseSensitive(edits, EDITS[i].member), *item;

        if (cJSON_GetArraySize(list) > ITEMS_MAX)
            return refuse(why, name, "too long a list", EDITS[i].member);
        cJSON_ArrayForEach(item, list)
        {
            int r = EDITS[i].add(arena, item, name, spec, why);

            if (r < 0)
                return r;
        }
    }
    return 0;
}

int cdi_apply_file(Arena *arena, const cJSON *json, const char *name, Podmon__ContainerSpec *spec,
                   Failure *why)
{
    const char *kind = member(json, "kind");
    size_t size = strlen(kind);
    const cJSON *device;

    if (size == 0 || strncmp(name, kind, size) != 0 || name[size] != '=')
        return 0;
    cJSON_ArrayForEach(device, cJSON_GetObjectItemCaseSensitive(json, "devices"))
    {
        int r;

        if (strcmp(member(device, "name"), name + size + 1) != 0)
            continue;
        r = apply_edits(arena, cJSON_GetObjectItemCaseSensitive(json, "containerEdits"), name, spec,
                        why);
        if (r >= 0)
            r = apply_edits(arena, cJSON_GetObjectItemCaseSensitive(device, "containerEdits"), name,
                            spec, why);
        return r < 0 ? r : 1;
    }
    return 0;
}

/* The two that the CDI has; NULL: none of them. */
static int (*parser_of(const char *file))(const char *text, cJSON **ret)
{
    const char *end = strrchr(file, '.');

    if (end && end > file && strcmp(end, ".json") == 0)
        return parse_json;
    return end && end > file && strcmp(end, ".yaml") == 0 ? yaml_parse : NULL;
}

/* 1: a file of the directory has the device. A file that cannot be read is no answer, and the
 * device then is unknown. */
static int apply_directory(Arena *arena, const char *directory, const char *name,
                           Podmon__ContainerSpec *spec, Failure *why)
{
    DIR *stream = opendir(directory);
    const struct dirent *item;
    int r = 0;

    while (stream && r == 0 && (item = readdir(stream))) {
        int (*parse)(const char *text, cJSON **ret) = parser_of(item->d_name);
        CLEANUP(json_done) cJSON *json = NULL;
        AUTO_FREE char *text = NULL;

        if (parse && file_read_at(dirfd(stream), item->d_name, FILE_SIZE_MAX, &text, NULL) >= 0 &&
            parse(text, &json) >= 0)
            r = cdi_apply_file(arena, json, name, spec, why);
    }
    if (stream)
        (void)closedir(stream);
    return r;
}

int cdi_apply(Arena *arena, char *const *directories, Runtime__V1__CDIDevice *const *devices,
              size_t count, Podmon__ContainerSpec *spec, Failure *why)
{
    size_t directories_count = text_list_count(directories);

    for (size_t i = 0; i < count; i++) {
        const char *name = devices[i]->name;
        int r = 0;

        for (size_t j = directories_count; r == 0 && j > 0; j--)
            r = apply_directory(arena, directories[j - 1], name, spec, why);
        if (r < 0)
            return r;
        if (r == 0)
            return check_refuse(why, name, "is in no file of /etc/cdi or /var/run/cdi",
                                "config.CDI_devices[%zu].name", i);
    }
    return 0;
}
