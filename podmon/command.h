/* SPDX-License-Identifier: Apache-2.0 */
/* A command in a running container: its process, and the cgroup that everything it starts is in. */
#pragma once

#include "podmon/container.h"

typedef struct Command Command;

/* Once. `why`: it did not start, or was killed by command_kill or for not starting in time; then
 * `end` means nothing. */
typedef void (*CommandEnded)(void *data, const ProcessEnd *end, const Failure *why);
typedef void (*CommandLeft)(void *data);

/* On failure nothing is left. `argv`: NULL-terminated. Counts as one of the pod's running execs
 * until command_leave is through. */
int command_start(Container *container, char *const *argv, const SpawnStdio *stdio,
                  CommandEnded ended, void *data, Command **ret, Failure *why);

/* Its program runs: it could be left to another podmon. */
bool command_is_steady(const Command *command);

/* What that one finds it by. `cgroup` is the command's. */
void command_describe(const Command *command, pid_t *ret_pid, uint32_t *ret_number,
                      const char **ret_cgroup);

/* Takes a command over that an earlier program in this process has started. −errno: it is none. */
int command_adopt(Pod *pod, pid_t pid, uint32_t number, const char *cgroup, CommandEnded ended,
                  void *data, Command **ret);

/* The master, with make_tty: the caller's from then on. */
int command_take_terminal(Command *command);

/* Kills it and everything it has started; `ended` comes later, with this failure. Nothing happens
 * when it has ended. */
void command_kill(Command *command, FailureCode code, const char *sentence);

/* It has ended: its cgroup goes, with whatever is in it if it was killed; descendants that it left
 * behind of its own will go on, in its group, which then goes with the container's. `left` (may be
 * NULL) is called when nothing is left of a command that was killed, and at once for one that has
 * ended by itself: nobody needs to wait for its group. The command is not the caller's any more. */
void command_leave(Command *command, CommandLeft left, void *data);

/* Has this process of podmon's children to be waited for by it? */
bool command_owns(const Command *command, pid_t pid);
