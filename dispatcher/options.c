/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/options.h"

#include <getopt.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

enum { OPTION_LISTEN = 1, OPTION_RUN, OPTION_ROOT, OPTION_CONFIG, OPTION_HELP, OPTION_VERSION };

static const struct option table[] = {
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"run", required_argument, NULL, OPTION_RUN},
    {"root", required_argument, NULL, OPTION_ROOT},
    {"config", required_argument, NULL, OPTION_CONFIG},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

static int take_path(const char *option, const char *value, const char **ret, Failure *why)
{
    if (value[0] != '/')
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "--%s is \"%s\", must be an absolute path", option, value);
    if (strlen(value) >= PATH_MAX)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "--%s is longer than %d bytes", option,
                           PATH_MAX - 1);
    *ret = value;
    return 0;
}

static int take_option(int option, Options *options, Failure *why)
{
    switch (option) {
    case OPTION_LISTEN:
        return take_path("listen", optarg, &options->listen, why);
    case OPTION_RUN:
        return take_path("run", optarg, &options->run_dir, why);
    case OPTION_ROOT:
        return take_path("root", optarg, &options->root_dir, why);
    case OPTION_CONFIG:
        return take_path("config", optarg, &options->config, why);
    case OPTION_HELP:
        options->action = OPTIONS_HELP;
        return 0;
    case OPTION_VERSION:
        options->action = OPTIONS_VERSION;
        return 0;
    default:
        return 0;
    }
}

int options_parse(int argc, char **argv, Options *ret, Failure *why)
{
    Options options = {.action = OPTIONS_RUN};
    int option, r;

    optind = 0; /* glibc: start anew */
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", table, NULL)) >= 0) {
        const char *word = argv[optind - 1];

        if (option == ':')
            return failure_say(why, FAILURE_INVALID_ARGUMENT, "%s needs a value", word);
        if (option == '?')
            return failure_say(why, FAILURE_INVALID_ARGUMENT, "%s is not an option", word);
        r = take_option(option, &options, why);
        if (r < 0)
            return r;
    }
    if (optind < argc)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "\"%s\" is not an option", argv[optind]);
    *ret = options;
    return 0;
}
