/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dispatcher/image/json.h"
#include "dispatcher/image/manifest.h"
#include "shared/cleanup.h"

void image_config_done(ImageConfig *config)
{
    if (config->record)
        podmon__image_record__free_unpacked(config->record, NULL);
    free(config->diff_ids);
    *config = (ImageConfig){0};
}

static int check_platform(const cJSON *json, Failure *why)
{
    const char *os, *architecture;
    int r;

    if ((r = json_get_string(json, "os", &os, why)) < 0 ||
        (r = json_get_string(json, "architecture", &architecture, why)) < 0)
        return r;
    if (!image_platform_fits(os ? os : "", architecture ? architecture : ""))
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "the image is for %.64s/%.64s, which does not run here",
                           os ? os : "linux", architecture ? architecture : "");
    return 0;
}

static int parse_diff_ids(const cJSON *json, ImageConfig *ret, Failure *why)
{
    const cJSON *rootfs, *list = NULL, *member;
    int count, r;

    if ((r = json_get_object(json, "rootfs", &rootfs, why)) < 0 ||
        (r = json_get_array(rootfs, "diff_ids", &list, why)) < 0)
        return r;
    if (!list)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "\"rootfs\" has no \"diff_ids\"");
    count = cJSON_GetArraySize(list);
    if (count == 0 || count > IMAGE_LAYERS_MAX)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "%d layers; 1 to %d are supported", count,
                           IMAGE_LAYERS_MAX);
    ret->diff_ids = calloc((size_t)count, sizeof(*ret->diff_ids));
    if (!ret->diff_ids)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot read a configuration");
    cJSON_ArrayForEach(member, list)
    {
        Digest *digest = &ret->diff_ids[ret->diff_ids_count++];

        if (!cJSON_IsString(member) || digest_parse(member->valuestring, digest) < 0 ||
            digest->algorithm != DIGEST_SHA256)
            return failure_say(why, FAILURE_INVALID_ARGUMENT, "\"%.200s\" is no diff id",
                               cJSON_IsString(member) ? member->valuestring : "");
    }
    return 0;
}

/* The layers' chain ids are what the diff ids say. */
static int chain_layers(ImageConfig *config, Failure *why)
{
    Podmon__ImageRecord *record = config->record;
    Digest chain = {0};

    record->layers = calloc(config->diff_ids_count + 1, sizeof(*record->layers));
    if (!record->layers)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot read a configuration");
    for (size_t i = 0; i < config->diff_ids_count; i++) {
        char text[DIGEST_TEXT_SIZE];
        int r = digest_chain(i > 0 ? &chain : NULL, &config->diff_ids[i], &chain);

        if (r < 0)
            return failure_set(why, FAILURE_INTERNAL, -r, "cannot hash");
        digest_print(&chain, text);
        record->layers[i] = strdup(text);
        if (!record->layers[i])
            return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot read a configuration");
        record->n_layers = i + 1;
    }
    return 0;
}

static int parse_members(const cJSON *json, ImageConfig *ret, Failure *why)
{
    Podmon__ImageRecord *record = ret->record;
    const cJSON *config;
    int r;

    if (!cJSON_IsObject(json))
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "no object");
    if ((r = check_platform(json, why)) < 0 || (r = parse_diff_ids(json, ret, why)) < 0 ||
        (r = chain_layers(ret, why)) < 0 ||
        (r = json_get_object(json, "config", &config, why)) < 0 ||
        (r = json_copy_strings(config, "Env", &record->n_env, &record->env, why)) < 0 ||
        (r = json_copy_strings(config, "Entrypoint", &record->n_entrypoint, &record->entrypoint,
                               why)) < 0 ||
        (r = json_copy_strings(config, "Cmd", &record->n_command, &record->command, why)) < 0 ||
        (r = json_copy_string(config, "WorkingDir", &record->working_dir, why)) < 0 ||
        (r = json_copy_string(config, "User", &record->user, why)) < 0 ||
        (r = json_copy_string(config, "StopSignal", &record->stop_signal, why)) < 0 ||
        (r = json_copy_names(config, "Volumes", &record->n_volumes, &record->volumes, why)) < 0 ||
        (r = json_copy_pairs(config, "Labels", &record->n_labels, &record->labels, why)) < 0)
        return r;
    for (size_t i = 0; i < record->n_env; i++)
        if (!strchr(record->env[i], '=') || record->env[i][0] == '=')
            return failure_say(why, FAILURE_INVALID_ARGUMENT, "Env: \"%.200s\" is not NAME=value",
                               record->env[i]);
    return 0;
}

int image_config_parse(const char *data, size_t size, ImageConfig *ret, Failure *why)
{
    CLEANUP(json_cleanup) cJSON *json = NULL;
    ImageConfig config = {0};
    int r = json_parse("configuration", data, size, IMAGE_CONFIG_SIZE_MAX, &json, why);

    if (r < 0)
        return r;
    /* Out of nothing comes an empty one, made as protobuf-c frees it. */
    config.record = podmon__image_record__unpack(NULL, 0, (const uint8_t *)"");
    if (!config.record)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot read a configuration");
    r = parse_members(json, &config, why);
    if (r < 0) {
        failure_prefix(why, "configuration");
        image_config_done(&config);
        return r;
    }
    *ret = config;
    return 0;
}
