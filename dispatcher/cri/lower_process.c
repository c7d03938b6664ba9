/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <string.h>

#include "dispatcher/cri/check.h"
#include "dispatcher/cri/lower_part.h"
#include "shared/path.h"

enum { ENVIRONMENT_MAX = 16384 };

static const char DEFAULT_PATH[] =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/* The request's command stands for the image's entrypoint, its args for the image's command; a
 * command without args drops the image's command as well. */
static int lower_argv(Arena *arena, const Runtime__V1__ContainerConfig *from,
                      const Podmon__ImageRecord *image, Podmon__ContainerSpec *spec, Failure *why)
{
    bool own = from->n_command > 0, own_rest = own || from->n_args > 0;
    char **first = own ? from->command : image->entrypoint;
    char **rest = own_rest ? from->args : image->command;
    size_t first_count = own ? from->n_command : image->n_entrypoint;
    size_t rest_count = own_rest ? from->n_args : image->n_command;

    if (first_count + rest_count == 0)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "config.command: is missing, and the image has none");
    spec->argv = arena_alloc_array(arena, first_count + rest_count, sizeof(char *));
    for (size_t i = 0; i < first_count; i++)
        spec->argv[spec->n_argv++] = first[i];
    for (size_t i = 0; i < rest_count; i++)
        spec->argv[spec->n_argv++] = rest[i];
    if (!*spec->argv[0])
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "config.command[0]: must not be empty");
    return 0;
}

/* Sets a variable, in the place of an earlier one of that name. `text` is "NAME=value", the array
 * has room. */
static void set_variable(Podmon__ContainerSpec *spec, char *text)
{
    size_t length = (size_t)(strchr(text, '=') - text) + 1;

    for (size_t i = 0; i < spec->n_env; i++) {
        if (strncmp(spec->env[i], text, length) == 0) {
            spec->env[i] = text;
            return;
        }
    }
    spec->env[spec->n_env++] = text;
}

static int check_variable(const Runtime__V1__KeyValue *variable, size_t position, Failure *why)
{
    const char *problem = NULL;

    if (!*variable->key)
        problem = "must not be empty";
    else if (strchr(variable->key, '='))
        problem = "has a '='";
    if (problem)
        return check_refuse(why, variable->key, problem, "config.envs[%zu].key", position);
    if (variable->value.len > 0 && memchr(variable->value.data, '\0', variable->value.len))
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "config.envs[%zu].value: that of \"%.200s\" has a NUL byte", position,
                           variable->key);
    return 0;
}

/* Ours, then the image's, then the request's: a later one replaces an earlier one. */
static int lower_env(const LowerContext *context, const Runtime__V1__ContainerConfig *from,
                     const Podmon__PodRecord *pod, const Podmon__ImageRecord *image,
                     Podmon__ContainerSpec *spec, Failure *why)
{
    enum { OURS = 3 };
    Arena *arena = context->arena;
    const char *hostname = pod->spec->hostname;

    if (from->n_envs + image->n_env > ENVIRONMENT_MAX)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "config.envs: %zu with those of the image are more than %d",
                           from->n_envs + image->n_env, ENVIRONMENT_MAX);
    spec->env = arena_alloc_array(arena, from->n_envs + image->n_env + OURS, sizeof(char *));
    set_variable(spec, (char *)(uintptr_t)DEFAULT_PATH);
    set_variable(spec,
                 arena_print(arena, "HOSTNAME=%s", *hostname ? hostname : context->node_hostname));
    if (from->tty)
        set_variable(spec, (char *)(uintptr_t) "TERM=xterm");
    for (size_t i = 0; i < image->n_env; i++)
        if (strchr(image->env[i], '=') && *image->env[i] != '=')
            set_variable(spec, image->env[i]);
    for (size_t i = 0; i < from->n_envs; i++) {
        const Runtime__V1__KeyValue *variable = from->envs[i];
        int r = check_variable(variable, i, why);

        if (r < 0)
            return r;
        set_variable(spec,
                     arena_print(arena, "%s=%.*s", variable->key, (int)variable->value.len,
                                 variable->value.data ? (const char *)variable->value.data : ""));
    }
    return 0;
}

static int lower_cwd(Arena *arena, const Runtime__V1__ContainerConfig *from,
                     const Podmon__ImageRecord *image, Podmon__ContainerSpec *spec, Failure *why)
{
    const char *cwd = *from->working_dir ? from->working_dir : image->working_dir;
    char clean[PATH_MAX] = "/";
    const char *problem = *cwd ? check_absolute_path(cwd) : NULL;

    if (*cwd && !problem && path_clean(cwd, clean) < 0)
        problem = "is longer than a path can be";
    if (problem)
        return check_refuse(why, cwd, problem, "config.working_dir");
    spec->cwd = arena_copy(arena, clean);
    return 0;
}

int lower_process(const LowerContext *context, const Runtime__V1__ContainerConfig *from,
                  const Podmon__PodRecord *pod, const Podmon__ImageRecord *image,
                  Podmon__ContainerSpec *spec, Failure *why)
{
    int r = lower_argv(context->arena, from, image, spec, why);

    if (r < 0)
        return r;
    r = lower_env(context, from, pod, image, spec, why);
    if (r < 0)
        return r;
    return lower_cwd(context->arena, from, image, spec, why);
}
