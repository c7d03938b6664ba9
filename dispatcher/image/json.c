/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/json.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"

/* cJSON recurses once per level and would end a string at an escaped NUL: both are refused before
 * it sees the text. */
static int check_text(const char *what, const char *data, size_t size, Failure *why)
{
    size_t depth = 0;
    bool quoted = false;

    for (size_t i = 0; i < size; i++) {
        char byte = data[i];

        if (byte == 0)
            return failure_say(why, FAILURE_INVALID_ARGUMENT, "%s has a NUL byte", what);
        if (quoted && byte == '\\') {
            if (size - i >= 6 && strncmp(data + i, "\\u0000", 6) == 0)
                return failure_say(why, FAILURE_INVALID_ARGUMENT, "%s has a NUL in a string", what);
            i++;
        } else if (byte == '"') {
            quoted = !quoted;
        } else if (!quoted && (byte == '{' || byte == '[')) {
            if (++depth > JSON_DEPTH_MAX)
                return failure_say(why, FAILURE_INVALID_ARGUMENT,
                                   "%s is nested deeper than %d levels", what, JSON_DEPTH_MAX);
        } else if (!quoted && (byte == '}' || byte == ']') && depth > 0) {
            depth--;
        }
    }
    return 0;
}

int json_parse(const char *what, const char *data, size_t size, size_t limit, cJSON **ret,
               Failure *why)
{
    cJSON *json;
    int r;

    if (size > limit)
        return failure_set(why, FAILURE_INVALID_ARGUMENT, EFBIG, "%s has %zu bytes, limit %zu",
                           what, size, limit);
    r = check_text(what, data, size, why);
    if (r < 0)
        return r;
    json = cJSON_ParseWithLengthOpts(data, size + 1, NULL, true);
    if (!json)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "%s is no JSON document", what);
    *ret = json;
    return 0;
}

static int get(const cJSON *object, const char *name, int type, const cJSON **ret, Failure *why)
{
    const cJSON *found = NULL, *member;

    cJSON_ArrayForEach(member, object)
    {
        if (!member->string || strcmp(member->string, name) != 0)
            continue;
        if (found)
            return failure_say(why, FAILURE_INVALID_ARGUMENT, "\"%s\" is there twice", name);
        found = member;
    }
    if (found && cJSON_IsNull(found))
        found = NULL;
    if (found && (found->type & 0xff) != type)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "\"%s\" is not %s", name,
                           type == cJSON_Object   ? "an object"
                           : type == cJSON_Array  ? "a list"
                           : type == cJSON_Number ? "a number"
                                                  : "a string");
    *ret = found;
    return found != NULL;
}

int json_get_object(const cJSON *object, const char *name, const cJSON **ret, Failure *why)
{
    return get(object, name, cJSON_Object, ret, why);
}

int json_get_array(const cJSON *object, const char *name, const cJSON **ret, Failure *why)
{
    return get(object, name, cJSON_Array, ret, why);
}

int json_get_string(const cJSON *object, const char *name, const char **ret, Failure *why)
{
    const cJSON *value;
    int r = get(object, name, cJSON_String, &value, why);

    if (r >= 0)
        *ret = value ? value->valuestring : NULL;
    return r;
}

int json_get_size(const cJSON *object, const char *name, uint64_t *ret, Failure *why)
{
    const cJSON *value;
    int r = get(object, name, cJSON_Number, &value, why);

    if (r <= 0)
        return r;
    if (!(value->valuedouble >= 0 && value->valuedouble < 0x1p53) ||
        (double)(uint64_t)value->valuedouble != value->valuedouble)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "\"%s\" is no size", name);
    *ret = (uint64_t)value->valuedouble;
    return 1;
}

static int no_memory(Failure *why)
{
    return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot read a document");
}

int json_copy_string(const cJSON *object, const char *name, char **ret, Failure *why)
{
    const char *value = NULL;
    char *copy;
    int r = json_get_string(object, name, &value, why);

    if (r <= 0 || !value)
        return r;
    copy = strdup(value);
    if (!copy)
        return no_memory(why);
    *ret = copy;
    return 1;
}

/* *ret and *ret_count are kept right after every step, so that their owner can free a list that
 * was only begun. */
static int copy_list(const cJSON *list, const char *name, bool names, size_t *ret_count,
                     char ***ret, Failure *why)
{
    const cJSON *member;

    if (!list || !list->child)
        return 0;
    *ret = calloc((size_t)cJSON_GetArraySize(list), sizeof(**ret));
    if (!*ret)
        return no_memory(why);
    cJSON_ArrayForEach(member, list)
    {
        const char *text = names ? member->string : member->valuestring;

        if (!names && !cJSON_IsString(member))
            return failure_say(why, FAILURE_INVALID_ARGUMENT, "\"%s\" is no list of strings", name);
        (*ret)[*ret_count] = strdup(text);
        if (!(*ret)[*ret_count])
            return no_memory(why);
        ++*ret_count;
    }
    return 0;
}

int json_copy_strings(const cJSON *object, const char *name, size_t *ret_count, char ***ret,
                      Failure *why)
{
    const cJSON *list = NULL;
    int r = json_get_array(object, name, &list, why);

    return r <= 0 ? r : copy_list(list, name, false, ret_count, ret, why);
}

int json_copy_names(const cJSON *object, const char *name, size_t *ret_count, char ***ret,
                    Failure *why)
{
    const cJSON *list = NULL;
    int r = json_get_object(object, name, &list, why);

    return r <= 0 ? r : copy_list(list, name, true, ret_count, ret, why);
}

int json_copy_pairs(const cJSON *object, const char *name, size_t *ret_count, Podmon__Pair ***ret,
                    Failure *why)
{
    const cJSON *list = NULL, *member;
    int r = json_get_object(object, name, &list, why);

    if (r <= 0 || !list || !list->child)
        return r < 0 ? r : 0;
    *ret = calloc((size_t)cJSON_GetArraySize(list), sizeof(Podmon__Pair *));
    if (!*ret)
        return no_memory(why);
    cJSON_ArrayForEach(member, list)
    {
        Podmon__Pair *pair;

        if (!cJSON_IsString(member))
            return failure_say(why, FAILURE_INVALID_ARGUMENT,
                               "\"%s\": the value of \"%s\" is no "
                               "string",
                               name, member->string);
        pair = malloc(sizeof(*pair));
        if (!pair)
            return no_memory(why);
        podmon__pair__init(pair);
        (*ret)[(*ret_count)++] = pair;
        pair->key = strdup(member->string);
        pair->value = strdup(member->valuestring);
        if (!pair->key || !pair->value)
            return no_memory(why);
    }
    return 0;
}
