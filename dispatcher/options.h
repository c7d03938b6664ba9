/* SPDX-License-Identifier: Apache-2.0 */
/* The dispatcher's command line. */
#pragma once

#include "shared/failure.h"

#define OPTIONS_USAGE                                                                              \
    "Usage: podmon-dispatcher [OPTION...]\n"                                                       \
    "Serves the Kubernetes container runtime interface and runs one podmon per pod.\n"             \
    "\n"                                                                                           \
    "  --listen PATH   gRPC socket (default /run/podmon/podmon.sock; not used when systemd\n"      \
    "                  hands over a socket)\n"                                                     \
    "  --run DIR       state that ends with the machine's uptime (default /run/podmon)\n"          \
    "  --root DIR      state on disk (default /var/lib/podmon)\n"                                  \
    "  --config FILE   settings (default /etc/podmon/podmon.conf)\n"                               \
    "  --help          this text\n"                                                                \
    "  --version       name and version\n"                                                         \
    "\n"                                                                                           \
    "Options win over the settings file. Paths are absolute.\n"

typedef enum OptionsAction {
    OPTIONS_RUN,
    OPTIONS_HELP,
    OPTIONS_VERSION,
} OptionsAction;

/* NULL: not given. The strings are argv's. */
typedef struct Options {
    OptionsAction action;
    const char *listen;
    const char *run_dir;
    const char *root_dir;
    const char *config;
} Options;

/* −EINVAL for what is no option, no absolute path or no value, with one sentence in `why`. */
int options_parse(int argc, char **argv, Options *ret, Failure *why);
