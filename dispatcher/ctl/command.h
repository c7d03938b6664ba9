/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of podmonctl. Each prints to standard output; −errno and `why` when it failed. */
#pragma once

#include <stdbool.h>

#include "dispatcher/config.h"
#include "shared/failure.h"

typedef struct Command {
    const Config *config;
    const char *root_dir, *run_dir;
    const char *tag;  /* NULL: not given */
    bool login;       /* --login */
    bool repair;      /* --repair */
    char **arguments; /* after the command's name, NULL-terminated */
} Command;

int command_load(const Command *command, Failure *why);
int command_pull(const Command *command, Failure *why);
int command_save(const Command *command, Failure *why);
int command_images(const Command *command, Failure *why);
int command_rmi(const Command *command, Failure *why);
int command_doctor(const Command *command, Failure *why);
int command_check(const Command *command, Failure *why);
int command_gc(const Command *command, Failure *why);
int command_ps(const Command *command, Failure *why);
int command_upgrade(const Command *command, Failure *why);
