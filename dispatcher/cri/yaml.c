/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cri/yaml.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <yaml.h>

#include "shared/cleanup.h"

enum { DEPTH_MAX = 32 };

static void json_cleanup(cJSON **json)
{
    cJSON_Delete(*json);
}

static int read_value(yaml_parser_t *parser, const yaml_event_t *event, int depth, cJSON **ret);

/* What libyaml says next; yaml_event_delete is the caller's. */
static int next(yaml_parser_t *parser, yaml_event_t *ret)
{
    if (yaml_parser_parse(parser, ret))
        return 0;
    *ret = (yaml_event_t){.type = YAML_NO_EVENT};
    return parser->error == YAML_MEMORY_ERROR ? -ENOMEM : -EINVAL;
}

static bool is_plain(const yaml_event_t *event)
{
    return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

/* A plain word that JSON takes for something else than a string is that. */
static int read_scalar(const yaml_event_t *event, cJSON **ret)
{
    const char *text = (const char *)event->data.scalar.value;
    cJSON *json = NULL;

    if (strlen(text) != event->data.scalar.length)
        return -EINVAL;
    if (is_plain(event)) {
        json = *text && *text != '"' ? cJSON_ParseWithOpts(text, NULL, true) : cJSON_CreateNull();
        if (json && (cJSON_IsObject(json) || cJSON_IsArray(json))) {
            cJSON_Delete(json);
            json = NULL;
        }
    }
    *ret = json ? json : cJSON_CreateString(text);
    return *ret ? 0 : -ENOMEM;
}

static int read_items(yaml_parser_t *parser, int depth, cJSON *list)
{
    bool more = true;
    int r = 0;

    while (r >= 0 && more) {
        CLEANUP(yaml_event_delete) yaml_event_t event = {0};
        cJSON *item = NULL;

        r = next(parser, &event);
        more = event.type != YAML_SEQUENCE_END_EVENT;
        if (r >= 0 && more)
            r = read_value(parser, &event, depth, &item);
        if (item)
            (void)cJSON_AddItemToArray(list, item); /* Fails for no item only. */
    }
    return r;
}

static int read_member(yaml_parser_t *parser, const yaml_event_t *key, int depth, cJSON *object)
{
    CLEANUP(yaml_event_delete) yaml_event_t event = {0};
    CLEANUP(json_cleanup) cJSON *value = NULL;
    const char *name = (const char *)key->data.scalar.value;
    int r;

    if (key->type != YAML_SCALAR_EVENT || cJSON_HasObjectItem(object, name))
        return -EINVAL;
    r = next(parser, &event);
    if (r >= 0)
        r = read_value(parser, &event, depth, &value);
    if (r < 0)
        return r;
    return cJSON_AddItemToObject(object, name, TAKE(value)) ? 0 : -ENOMEM;
}

static int read_members(yaml_parser_t *parser, int depth, cJSON *object)
{
    bool more = true;
    int r = 0;

    while (r >= 0 && more) {
        CLEANUP(yaml_event_delete) yaml_event_t event = {0};

        r = next(parser, &event);
        more = event.type != YAML_MAPPING_END_EVENT;
        if (r >= 0 && more)
            r = read_member(parser, &event, depth, object);
    }
    return r;
}

static int read_value(yaml_parser_t *parser, const yaml_event_t *event, int depth, cJSON **ret)
{
    CLEANUP(json_cleanup) cJSON *json = NULL;
    int r;

    if (event->type == YAML_SCALAR_EVENT)
        return read_scalar(event, ret);
    if (depth == DEPTH_MAX)
        return -EINVAL;
    if (event->type == YAML_SEQUENCE_START_EVENT) {
        json = cJSON_CreateArray();
        r = json ? read_items(parser, depth + 1, json) : -ENOMEM;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        json = cJSON_CreateObject();
        r = json ? read_members(parser, depth + 1, json) : -ENOMEM;
    } else {
        return -EINVAL;
    }
    if (r >= 0)
        *ret = TAKE(json);
    return r;
}

int yaml_parse(const char *text, cJSON **ret)
{
    CLEANUP(yaml_parser_delete) yaml_parser_t parser;
    bool found = false;
    int r = 0;

    if (!yaml_parser_initialize(&parser))
        return -ENOMEM;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    while (r >= 0 && !found) {
        CLEANUP(yaml_event_delete) yaml_event_t event = {0};

        r = next(&parser, &event);
        if (r < 0)
            return r;
        found = event.type != YAML_STREAM_START_EVENT && event.type != YAML_DOCUMENT_START_EVENT;
        if (found)
            r = read_value(&parser, &event, 0, ret);
    }
    return r;
}
