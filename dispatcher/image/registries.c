/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/image/registries.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/file.h"
#include "shared/path.h"
#include "shared/text.h"

enum { REGISTRIES_FILE_MAX = 256 * 1024 };

/* Each takes a value into a field; −EINVAL: not what it should be. */
typedef int (*KeyParser)(const char *value, void *field);

static int parse_text(const char *value, void *field)
{
    char **text = field;

    free(*text);
    *text = strdup(value);
    return *text ? 0 : -ENOMEM;
}

static int parse_path(const char *value, void *field)
{
    return path_is_clean(value) ? parse_text(value, field) : -EINVAL;
}

static bool is_url(const char *value)
{
    size_t scheme = text_starts_with(value, "https://")  ? strlen("https://")
                    : text_starts_with(value, "http://") ? strlen("http://")
                                                         : 0;

    return scheme && value[scheme] && value[scheme] != '/' && text_is_printable(value) &&
           !strpbrk(value, "?#@ ");
}

static int parse_mirrors(const char *value, void *field)
{
    AUTO_FREE char *copy = strdup(value);
    char *rest = NULL;

    if (!copy)
        return -ENOMEM;
    for (char *word = strtok_r(copy, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest)) {
        if (!is_url(word))
            return -EINVAL;
        if (text_list_add(field, word) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int parse_header(const char *value, void *field)
{
    const char *colon = strchr(value, ':');

    if (!colon || colon == value || !text_is_printable(value) ||
        strcspn(value, " \t") < (size_t)(colon - value))
        return -EINVAL;
    return text_list_add(field, value);
}

static int parse_proxy(const char *value, void *field)
{
    if (strcmp(value, "none") == 0)
        return parse_text("", field);
    return text_is_printable(value) && strstr(value, "://") ? parse_text(value, field) : -EINVAL;
}

static int parse_plain_http(const char *value, void *field)
{
    bool yes = strcmp(value, "yes") == 0, no = strcmp(value, "no") == 0;

    if (!yes && !no)
        return -EINVAL;
    *(int *)field = yes ? PLAIN_HTTP_YES : PLAIN_HTTP_NO;
    return 0;
}

static const struct {
    const char *name;
    KeyParser parse;
    size_t offset;
    const char *expected;
} keys[] = {
    {"mirror", parse_mirrors, offsetof(RegistryConfig, mirrors),
     "addresses like https://host/path"},
    {"plain-http", parse_plain_http, offsetof(RegistryConfig, plain_http), "yes or no"},
    {"ca", parse_path, offsetof(RegistryConfig, ca), "a clean absolute path"},
    {"client-cert", parse_path, offsetof(RegistryConfig, client_cert), "a clean absolute path"},
    {"client-key", parse_path, offsetof(RegistryConfig, client_key), "a clean absolute path"},
    {"header", parse_header, offsetof(RegistryConfig, headers), "\"Name: value\""},
    {"proxy", parse_proxy, offsetof(RegistryConfig, proxy), "an address like http://host:port"},
};

typedef struct Reading {
    Registries *registries;
    const char *file;
    Failure *why;
    int result;
} Reading;

static RegistryConfig *get_section(Registries *registries, const char *host)
{
    RegistryConfig *more;

    for (size_t i = 0; i < registries->count; i++)
        if (strcmp(registries->list[i].host, host) == 0)
            return &registries->list[i];
    more = realloc(registries->list, (registries->count + 1) * sizeof(*more));
    if (!more)
        return NULL;
    registries->list = more;
    more += registries->count;
    *more = (RegistryConfig){.host = strdup(host)};
    if (!more->host)
        return NULL;
    registries->count++;
    return more;
}

/* An ini_handler. A header's value may be a secret: no value is ever told. */
static int handle_value(void *data, const char *section, const char *name, const char *value)
{
    Reading *reading = data;
    RegistryConfig *config;

    if (!*section) {
        reading->result = failure_say(reading->why, FAILURE_FAILED_PRECONDITION,
                                      "%s: \"%.60s\" is in no section", reading->file, name);
        return 0;
    }
    config = get_section(reading->registries, section);
    if (!config) {
        reading->result =
            failure_set(reading->why, FAILURE_INTERNAL, ENOMEM, "cannot read %s", reading->file);
        return 0;
    }
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        int r;

        if (strcmp(keys[i].name, name) != 0)
            continue;
        r = keys[i].parse(value, (char *)config + keys[i].offset);
        if (r < 0)
            reading->result = failure_say(reading->why, FAILURE_FAILED_PRECONDITION,
                                          "%s: %s in [%.200s] is not %s", reading->file, name,
                                          section, keys[i].expected);
        return r == 0;
    }
    reading->result =
        failure_say(reading->why, FAILURE_FAILED_PRECONDITION,
                    "%s: unknown key \"%.60s\" in [%.200s]", reading->file, name, section);
    return 0;
}

static int read_file(const char *path, Registries *registries, Failure *why)
{
    Reading reading = {.registries = registries, .file = path, .why = why};
    AUTO_FREE char *text = NULL;
    int r = file_read_at(AT_FDCWD, path, REGISTRIES_FILE_MAX, &text, NULL), line;

    if (r < 0)
        return failure_set(why, FAILURE_FAILED_PRECONDITION, -r, "cannot read %s", path);
    line = ini_parse_string(text, handle_value, &reading);
    if (reading.result < 0) {
        if (line > 0)
            failure_prefix(why, "line %d", line);
        return reading.result;
    }
    if (line != 0)
        return failure_say(why, FAILURE_FAILED_PRECONDITION,
                           "%s:%d: neither \"[host]\" nor \"key = value\"", path, line);
    return 0;
}

static int is_drop_in(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name), suffix = strlen(".conf");

    return entry->d_name[0] != '.' && length > suffix &&
           strcmp(entry->d_name + length - suffix, ".conf") == 0;
}

static int compare_entries(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

int registries_load(const char *dir, Registries *ret, Failure *why)
{
    CLEANUP(registries_done) Registries registries = {0};
    struct dirent **entries = NULL;
    int count = scandir(dir, &entries, is_drop_in, compare_entries), r = 0;

    if (count < 0 && errno != ENOENT)
        return failure_set(why, FAILURE_FAILED_PRECONDITION, errno, "cannot read %s", dir);
    for (int i = 0; i < count; i++) {
        AUTO_FREE char *file = NULL;

        if (r == 0 && asprintf(&file, "%s/%s", dir, entries[i]->d_name) < 0) {
            file = NULL;
            r = failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot read %s", dir);
        }
        if (r == 0)
            r = read_file(file, &registries, why);
        free(entries[i]);
    }
    free(entries);
    if (r < 0)
        return r;
    *ret = registries;
    registries = (Registries){0};
    return 0;
}

void registries_done(Registries *registries)
{
    for (size_t i = 0; i < registries->count; i++) {
        RegistryConfig *config = &registries->list[i];

        free(config->host);
        text_list_free(config->mirrors);
        text_list_free(config->headers);
        free(config->ca);
        free(config->client_cert);
        free(config->client_key);
        free(config->proxy);
    }
    free(registries->list);
    *registries = (Registries){0};
}

const RegistryConfig *registries_find(const Registries *registries, const char *host)
{
    const RegistryConfig *general = NULL;

    for (size_t i = 0; i < registries->count; i++) {
        if (strcmp(registries->list[i].host, host) == 0)
            return &registries->list[i];
        if (strcmp(registries->list[i].host, "*") == 0)
            general = &registries->list[i];
    }
    return general;
}
