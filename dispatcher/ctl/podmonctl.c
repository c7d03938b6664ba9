/* SPDX-License-Identifier: Apache-2.0 */
/* podmonctl, the administrator's tool: options, and the table of commands. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "dispatcher/ctl/command.h"
#include "dispatcher/image/worker.h"
#include "shared/cleanup.h"

static const struct {
    const char *name, *arguments, *help;
    int (*run)(const Command *command, Failure *why);
} commands[] = {
    {"load", "FILE|DIRECTORY [--tag NAME]", "import an OCI layout or a docker-save archive",
     command_load},
    {"pull", "NAME [--login]", "bring an image from its registry; name:password on standard input",
     command_pull},
    {"save", "NAME [FILE]", "write an image as a tar that load, skopeo and docker read",
     command_save},
    {"images", "", "list images", command_images},
    {"rmi", "NAME...", "remove images, each with all its names", command_rmi},
    {"check", "[--repair]", "verify all blobs and layers; remove images that are damaged",
     command_check},
    {"gc", "", "remove blobs and layers that no image needs", command_gc},
    {"ps", "", "list pods and containers", command_ps},
    {"doctor", "[--repair]", "find what no pod owns, and pods without podmon; clear it up",
     command_doctor},
    {"upgrade", "[PROGRAM]", "let every podmon go on as the installed one", command_upgrade},
};

enum { COMMANDS_COUNT = sizeof(commands) / sizeof(commands[0]) };

static void print_help(FILE *stream)
{
    fputs("usage: podmonctl [--config FILE] [--root DIR] [--run DIR] COMMAND\n\n", stream);
    for (size_t i = 0; i < COMMANDS_COUNT; i++)
        fprintf(stream, "  %-7s%-29s%s\n", commands[i].name, commands[i].arguments,
                commands[i].help);
}

typedef struct Options {
    const char *config, *root, *run, *tag;
    bool login, repair;
} Options;

/* 0: go on; 1: done (help, version); −EINVAL after a message. */
static int parse_options(int argc, char **argv, Options *ret)
{
    static const struct option known[] = {
        {"config", required_argument, NULL, 'c'},
        {"root", required_argument, NULL, 'r'},
        {"run", required_argument, NULL, 'u'},
        {"tag", required_argument, NULL, 't'},
        {"login", no_argument, NULL, 'l'},
        {"repair", no_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "h", known, NULL)) >= 0) {
        switch (option) {
        case 'c':
            ret->config = optarg;
            break;
        case 'r':
            ret->root = optarg;
            break;
        case 'u':
            ret->run = optarg;
            break;
        case 't':
            ret->tag = optarg;
            break;
        case 'l':
            ret->login = true;
            break;
        case 'p':
            ret->repair = true;
            break;
        case 'h':
            print_help(stdout);
            return 1;
        case 'v':
            puts("podmonctl " PODMON_VERSION);
            return 1;
        default:
            return -EINVAL;
        }
    }
    return 0;
}

static int run(const Command *command, const char *name, Failure *why)
{
    for (size_t i = 0; i < COMMANDS_COUNT; i++)
        if (strcmp(commands[i].name, name) == 0) {
            if (command->tag && commands[i].run != command_load)
                return failure_say(why, FAILURE_INVALID_ARGUMENT, "--tag goes with load only");
            if (command->login && commands[i].run != command_pull)
                return failure_say(why, FAILURE_INVALID_ARGUMENT, "--login goes with pull only");
            if (command->repair && commands[i].run != command_check &&
                commands[i].run != command_doctor)
                return failure_say(why, FAILURE_INVALID_ARGUMENT,
                                   "--repair goes with check and doctor only");
            return commands[i].run(command, why);
        }
    return failure_say(why, FAILURE_INVALID_ARGUMENT,
                       "\"%s\" is no command; podmonctl --help lists them", name);
}

int main(int argc, char **argv)
{
    CLEANUP(config_done) Config config = {0};
    Options options = {0};
    Command command = {0};
    Failure why = {0};
    int r;

    /* What the dispatcher starts, and no command for people. */
    if (argc == 2 && strcmp(argv[1], WORKER_ARGUMENT) == 0)
        return image_worker_run();
    r = parse_options(argc, argv, &options);
    if (r != 0)
        return r < 0 ? 1 : 0;
    if (optind == argc) {
        print_help(stderr);
        return 1;
    }
    r = config_load(options.config ? options.config : CONFIG_DEFAULT_FILE, options.config != NULL,
                    &config, &why);
    if (r == 0) {
        command.config = &config;
        command.root_dir = options.root ? options.root : config.root_dir;
        command.run_dir = options.run ? options.run : config.run_dir;
        command.tag = options.tag;
        command.login = options.login;
        command.repair = options.repair;
        command.arguments = argv + optind + 1;
        r = run(&command, argv[optind], &why);
    }
    if (r < 0) {
        fprintf(stderr, "podmonctl: %s\n", why.text);
        return 1;
    }
    return 0;
}
