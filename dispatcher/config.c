/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/config.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/file.h"
#include "shared/log.h"
#include "shared/number.h"
#include "shared/path.h"
#include "shared/text.h"

enum { CONFIG_SIZE_MAX = 1024 * 1024 };

/* ---------------------------------------------------------------------------- the values */

typedef struct Setting Setting;

/* Parses a value into a field of Config. `more`: it goes on the list that is there, in place of
 * replacing it. −EINVAL: it is not what it should be. */
typedef int (*SettingParser)(const Setting *setting, const char *value, bool more, void *field);

typedef struct SettingKind {
    SettingParser parse;
    const char *expected; /* what to say it should be */
    bool is_list;
} SettingKind;

struct Setting {
    const char *section, *key;
    const SettingKind *kind;
    size_t offset;      /* of the field in Config */
    int64_t least;      /* of numbers */
    int64_t most;       /* of numbers; of a path its length */
    const char *preset; /* parsed like any other value; NULL: none */
};

static int replace_text(char **field, const char *value)
{
    char *copy = strdup(value);

    if (!copy)
        return -ENOMEM;
    free(*field);
    *field = copy;
    return 0;
}

static int parse_path(const Setting *setting, const char *value, bool more, void *field)
{
    (void)more;
    if (!path_is_clean(value) || strlen(value) > (size_t)setting->most)
        return -EINVAL;
    return replace_text(field, value);
}

static int parse_readable(const Setting *setting, const char *value, bool more, void *field)
{
    return path_is_clean(value) && access(value, R_OK) == 0
               ? parse_path(setting, value, more, field)
               : -EINVAL;
}

static int parse_slice(const Setting *setting, const char *value, bool more, void *field)
{
    static const char characters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@";
    const char *dot = strrchr(value, '.');
    bool is_slice = dot && dot > value && strcmp(dot, ".slice") == 0 && path_is_name(value) &&
                    value[strspn(value, characters)] == '\0';

    (void)setting;
    (void)more;
    return is_slice || path_is_clean(value) ? replace_text(field, value) : -EINVAL;
}

static int parse_switch(const Setting *setting, const char *value, bool more, void *field)
{
    bool yes = strcmp(value, "yes") == 0 || strcmp(value, "true") == 0;

    (void)setting;
    (void)more;
    if (!yes && strcmp(value, "no") != 0 && strcmp(value, "false") != 0)
        return -EINVAL;
    *(bool *)field = yes;
    return 0;
}

static int parse_number(const Setting *setting, const char *value, bool more, void *field)
{
    (void)more;
    return number_parse_signed(value, setting->least, setting->most, field) < 0 ? -EINVAL : 0;
}

static int parse_number_32(const Setting *setting, const char *value, bool more, void *field)
{
    int64_t number = 0;
    int r = parse_number(setting, value, more, &number);

    if (r == 0)
        *(uint32_t *)field = (uint32_t)number;
    return r;
}

static int parse_level(const Setting *setting, const char *value, bool more, void *field)
{
    static const char *const names[] = {
        [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_NOTICE] = "notice",
        [LOG_LEVEL_INFO] = "info",   [LOG_LEVEL_DEBUG] = "debug",
    };

    for (uint32_t level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
        if (strcmp(value, names[level]) == 0) {
            *(uint32_t *)field = level;
            return 0;
        }
    }
    return parse_number_32(setting, value, more, field);
}

static int parse_list(const char *value, bool more, bool (*check)(const char *), char ***field)
{
    AUTO_FREE char *copy = strdup(value);
    CLEANUP(text_list_cleanup) char **list = NULL;
    char *rest = NULL;

    if (!copy)
        return -ENOMEM;
    for (size_t i = 0; more && *field && (*field)[i]; i++)
        if (text_list_add(&list, (*field)[i]) < 0)
            return -ENOMEM;
    for (char *item = strtok_r(copy, " \t", &rest); item; item = strtok_r(NULL, " \t", &rest)) {
        if (!check(item))
            return -EINVAL;
        if (text_list_add(&list, item) < 0)
            return -ENOMEM;
    }
    text_list_free(*field);
    *field = TAKE(list);
    return 0;
}

static int parse_address(const Setting *setting, const char *value, bool more, void *field)
{
    struct in6_addr address;

    (void)setting;
    (void)more;
    if (inet_pton(AF_INET, value, &address) != 1 && inet_pton(AF_INET6, value, &address) != 1)
        return -EINVAL;
    return replace_text(field, value);
}

static int parse_paths(const Setting *setting, const char *value, bool more, void *field)
{
    (void)setting;
    return parse_list(value, more, path_is_clean, field);
}

static int parse_words(const Setting *setting, const char *value, bool more, void *field)
{
    (void)setting;
    return parse_list(value, more, text_is_printable, field);
}

static int parse_proxy(const Setting *setting, const char *value, bool more, void *field)
{
    (void)setting;
    (void)more;
    return text_is_printable(value) && strstr(value, "://") && !strchr(value, ' ')
               ? replace_text(field, value)
               : -EINVAL;
}

static const SettingKind kind_proxy = {parse_proxy, "an address like http://host:port", false};
static const SettingKind kind_path = {parse_path, "a clean absolute path", false};
static const SettingKind kind_readable = {
    parse_readable, "a clean absolute path of a file that can be read,", false};
static const SettingKind kind_paths = {parse_paths, "a list of clean absolute paths", true};
static const SettingKind kind_words = {parse_words, "a list of words", true};
static const SettingKind kind_switch = {parse_switch, "yes or no", false};
static const SettingKind kind_slice = {
    parse_slice, "the name of a slice or a clean absolute path of a cgroup", false};
static const SettingKind kind_address = {parse_address, "an IP address", false};
static const SettingKind kind_level = {parse_level,
                                       "error, warning, notice, info, debug or a number", false};
static const SettingKind kind_number = {parse_number, "a number", false};
static const SettingKind kind_number_32 = {parse_number_32, "a number", false};

#define FIELD(name) offsetof(Config, name)

static const Setting settings[] = {
    {"dispatcher", "listen", &kind_path, FIELD(listen), 0,
     sizeof(((struct sockaddr_un *)0)->sun_path) - 1, "/run/podmon/podmon.sock"},
    {"dispatcher", "run_dir", &kind_path, FIELD(run_dir), 0, PATH_MAX - 1, "/run/podmon"},
    {"dispatcher", "root_dir", &kind_path, FIELD(root_dir), 0, PATH_MAX - 1, "/var/lib/podmon"},
    {"dispatcher", "podmon", &kind_path, FIELD(podmon), 0, PATH_MAX - 1, NULL},
    {"dispatcher", "podmon_timeout_ms", &kind_number_32, FIELD(podmon_timeout_ms), 0, 3600000,
     "60000"},
    {"dispatcher", "log_level", &kind_level, FIELD(log_level), LOG_LEVEL_ERROR, LOG_LEVEL_DEBUG,
     "info"},
    {"cgroup", "systemd", &kind_switch, FIELD(systemd), 0, 0, "yes"},
    {"cgroup", "slice", &kind_slice, FIELD(slice), 0, 0, "podmon.slice"},
    {"network", "cni_conf_dir", &kind_path, FIELD(cni_conf_dir), 0, PATH_MAX - 1, "/etc/cni/net.d"},
    {"network", "cni_bin_dirs", &kind_paths, FIELD(cni_bin_dirs), 0, 0,
     "/opt/cni/bin /usr/lib/cni"},
    {"network", "cni_timeout_ms", &kind_number_32, FIELD(cni_timeout_ms), 100, 600000, "60000"},
    {"container", "drain_timeout_ms", &kind_number_32, FIELD(drain_timeout_ms), 0, 60000, "2000"},
    {"container", "pids_limit", &kind_number, FIELD(pids_limit), 0, 4194304, "0"},
    {"container", "shm_size", &kind_number, FIELD(shm_size), 4096, INT64_C(1) << 40, "67108864"},
    {"container", "seccomp_profile_dir", &kind_path, FIELD(seccomp_profile_dir), 0, PATH_MAX - 1,
     "/var/lib/kubelet/seccomp"},
    {"container", "cdi_dirs", &kind_paths, FIELD(cdi_dirs), 0, 0, "/etc/cdi /var/run/cdi"},
    {"stats", "period_ms", &kind_number_32, FIELD(stats_period_ms), 1000, 3600000, "10000"},
    {"stream", "address", &kind_address, FIELD(stream_address), 0, 0, "127.0.0.1"},
    {"stream", "port", &kind_number_32, FIELD(stream_port), 0, UINT16_MAX, "0"},
    {"stream", "tls_cert", &kind_readable, FIELD(stream_tls_cert), 0, PATH_MAX - 1, NULL},
    {"stream", "tls_key", &kind_readable, FIELD(stream_tls_key), 0, PATH_MAX - 1, NULL},
    {"cadvisor", "socket", &kind_path, FIELD(cadvisor_socket), 0,
     sizeof(((struct sockaddr_un *)0)->sun_path) - 1, NULL},
    {"image", "registries_dir", &kind_path, FIELD(registries_dir), 0, PATH_MAX - 1,
     "/etc/podmon/registries.d"},
    {"image", "parallel_layers", &kind_number_32, FIELD(parallel_layers), 1, 16, "3"},
    {"image", "stall_timeout_ms", &kind_number_32, FIELD(stall_timeout_ms), 100, 3600000, "60000"},
    {"image", "memory_max", &kind_number, FIELD(memory_max), 64 << 20, INT64_C(1) << 40,
     "536870912"},
    {"image", "proxy", &kind_proxy, FIELD(proxy), 0, 0, NULL},
    {"image", "pinned", &kind_words, FIELD(pinned), 0, 0, ""},
};

enum { SETTINGS_COUNT = sizeof(settings) / sizeof(settings[0]) };

static int apply(const Setting *setting, const char *value, bool more, Config *config)
{
    return setting->kind->parse(setting, value, more, (char *)config + setting->offset);
}

/* `key` may be NULL: any of the section. */
static const Setting *find_setting(const char *section, const char *key)
{
    for (size_t i = 0; i < SETTINGS_COUNT; i++)
        if (strcmp(settings[i].section, section) == 0 &&
            (!key || strcmp(settings[i].key, key) == 0))
            return &settings[i];
    return NULL;
}

/* ----------------------------------------------------------------------------- the files */

/* A file on its way through libinih, line by line; the first failure ends it. */
typedef struct Reading {
    Config *config;
    Failure *why;
    const char *file;
    const char *next; /* the rest of the text */
    int line;
    bool indented;          /* the line goes on with the value of the one before */
    const Setting *setting; /* of the line before, if it is of this section */
    int result;
} Reading;

static void refuse(Reading *reading, const char *what, const char *name)
{
    reading->result = failure_say(reading->why, FAILURE_INVALID_ARGUMENT, "%s:%d: %s \"%s\"",
                                  reading->file, reading->line, what, name);
}

static void refuse_value(Reading *reading, const Setting *setting, const char *value)
{
    char range[80] = "";

    if (setting->kind == &kind_path || setting->kind == &kind_readable)
        (void)snprintf(range, sizeof(range), " of at most %" PRId64 " bytes", setting->most);
    else if (setting->most > 0)
        (void)snprintf(range, sizeof(range), " from %" PRId64 " to %" PRId64, setting->least,
                       setting->most);
    reading->result =
        failure_say(reading->why, FAILURE_INVALID_ARGUMENT, "%s:%d: %s in [%s]: \"%s\" is not %s%s",
                    reading->file, reading->line, setting->key, setting->section, value,
                    setting->kind->expected, range);
}

/* libinih tells its caller of a section only with the first key in it; an empty one with a
 * misspelt name is to be found too. What is no heading at all is left to libinih. */
static void enter_section(Reading *reading, const char *line)
{
    char name[64];
    size_t length = strcspn(line + 1, "]\n");

    reading->setting = NULL;
    if (line[1 + length] != ']' || length >= sizeof(name))
        return;
    memcpy(name, line + 1, length);
    name[length] = '\0';
    if (!find_setting(name, NULL))
        refuse(reading, "unknown section", name);
}

/* An ini_reader. */
static char *read_line(char *ret, int size, void *data)
{
    Reading *reading = data;
    const char *start;
    size_t length = strcspn(reading->next, "\n");

    if (reading->result < 0 || !*reading->next)
        return NULL;
    reading->line++;
    if (reading->next[length] == '\n')
        length++;
    if (length >= (size_t)size) {
        reading->result = failure_say(reading->why, FAILURE_INVALID_ARGUMENT,
                                      "%s:%d: the line is longer than %d bytes", reading->file,
                                      reading->line, size - 2);
        return NULL;
    }
    memcpy(ret, reading->next, length);
    ret[length] = '\0';
    reading->next += length;
    start = ret + strspn(ret, " \t");
    reading->indented = start > ret;
    if (*start == '[' && !(reading->indented && reading->setting))
        enter_section(reading, start);
    return reading->result < 0 ? NULL : ret;
}

/* An ini_handler. For an indented line libinih repeats the key of the line before. */
static int handle_value(void *data, const char *section, const char *key, const char *value)
{
    Reading *reading = data;
    const Setting *setting = find_setting(section, key);
    bool more = setting && reading->indented && setting == reading->setting;
    int r;

    if (!find_setting(section, NULL)) {
        refuse(reading, "unknown section", section);
        return 0;
    }
    if (!setting) {
        refuse(reading, "unknown key", key);
        return 0;
    }
    if (more && !setting->kind->is_list) {
        refuse(reading,
               "an indented line goes on with the value before it, but there is one only of", key);
        return 0;
    }
    reading->setting = setting;
    r = apply(setting, value, more, reading->config);
    if (r == -ENOMEM)
        reading->result =
            failure_set(reading->why, FAILURE_INTERNAL, ENOMEM, "cannot read %s", reading->file);
    else if (r < 0)
        refuse_value(reading, setting, value);
    return r < 0 ? 0 : 1;
}

static int read_text(const char *path, const char *text, Config *config, Failure *why)
{
    Reading reading = {.config = config, .why = why, .file = path, .next = text};
    int line = ini_parse_stream(read_line, &reading, handle_value, &reading);

    /* A line that libinih does not understand does not stop it. */
    if (line > 0 && (reading.result == 0 || line < reading.line))
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "%s:%d: neither \"[section]\" nor \"key = value\"", path, line);
    if (line < 0)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot read %s", path);
    return reading.result;
}

static int read_file(const char *path, bool must_exist, Config *config, Failure *why)
{
    AUTO_FREE char *text = NULL;
    size_t size = 0;
    int r = file_read_at(AT_FDCWD, path, CONFIG_SIZE_MAX, &text, &size);

    if (r == -ENOENT && !must_exist)
        return 0;
    if (r < 0)
        return failure_set(why, FAILURE_INVALID_ARGUMENT, -r, "cannot read %s", path);
    if (strlen(text) != size)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "%s is no text: it has a NUL in it",
                           path);
    return read_text(path, text, config, why);
}

/* ------------------------------------------------------------------------- the drop-ins */

static int is_drop_in(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name), suffix = strlen(".conf");

    return entry->d_name[0] != '.' && length > suffix &&
           strcmp(entry->d_name + length - suffix, ".conf") == 0;
}

/* By bytes, whatever the locale. */
static int compare_entries(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_drop_ins(const char *path, Config *config, Failure *why)
{
    AUTO_FREE char *directory = NULL;
    struct dirent **entries = NULL;
    int count, r = 0;

    if (asprintf(&directory, "%s.d", path) < 0)
        return failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot read %s", path);
    count = scandir(directory, &entries, is_drop_in, compare_entries);
    if (count < 0 && errno == ENOENT)
        return 0;
    if (count < 0)
        return failure_set(why, FAILURE_INVALID_ARGUMENT, errno, "cannot read %s", directory);
    for (int i = 0; i < count; i++) {
        AUTO_FREE char *file = NULL;
        if (r == 0 && asprintf(&file, "%s/%s", directory, entries[i]->d_name) < 0)
            r = failure_set(why, FAILURE_INTERNAL, ENOMEM, "cannot read %s", directory);
        if (r == 0)
            r = read_file(file, true, config, why);
        free(entries[i]);
    }
    free(entries);
    return r;
}

/* ----------------------------------------------------------------------------- the whole */

static int load_presets(Config *config, Failure *why)
{
    for (size_t i = 0; i < SETTINGS_COUNT; i++) {
        int r = settings[i].preset ? apply(&settings[i], settings[i].preset, false, config) : 0;

        if (r < 0)
            return failure_set(why, FAILURE_INTERNAL, -r, "cannot preset %s", settings[i].key);
    }
    return 0;
}

int config_load(const char *path, bool must_exist, Config *ret, Failure *why)
{
    CLEANUP(config_done) Config config = {0};
    int r = load_presets(&config, why);

    if (r == 0)
        r = read_file(path, must_exist, &config, why);
    if (r == 0)
        r = read_drop_ins(path, &config, why);
    if (r == 0 && !config.stream_tls_cert != !config.stream_tls_key)
        r = failure_say(why, FAILURE_INVALID_ARGUMENT, "%s: [stream] has %s and no %s", path,
                        config.stream_tls_cert ? "tls_cert" : "tls_key",
                        config.stream_tls_cert ? "tls_key" : "tls_cert");
    if (r < 0)
        return r;
    *ret = config;
    config = (Config){0};
    return 0;
}

void config_done(Config *config)
{
    free(config->listen);
    free(config->run_dir);
    free(config->root_dir);
    free(config->podmon);
    free(config->slice);
    free(config->proxy);
    free(config->cni_conf_dir);
    text_list_free(config->cni_bin_dirs);
    text_list_free(config->cdi_dirs);
    free(config->seccomp_profile_dir);
    free(config->stream_address);
    free(config->stream_tls_cert);
    free(config->stream_tls_key);
    free(config->cadvisor_socket);
    free(config->registries_dir);
    text_list_free(config->pinned);
    *config = (Config){0};
}
