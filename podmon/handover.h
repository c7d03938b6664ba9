/* SPDX-License-Identifier: Apache-2.0 */
/* What a podmon leaves to the program that it becomes: open descriptors, and a sealed memfd with a
 * Podmon__Handover that says what they are. The environment names the memfd's number. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "podmon.pb-c.h"

/* To be called just before execve: from here on the descriptors are inherited. The memfd's number
 * or −errno, and then nothing has changed. */
int handover_give(const Podmon__Handover *handover);

/* The execve has failed: they are not inherited any more. Closes `fd`. */
void handover_take_back(const Podmon__Handover *handover, int fd);

/* 1: *ret is what was left to this program, and its descriptors are close-on-exec again; 0: nothing
 * was; −EPROTO: sessions that this program could not talk with, their descriptors are closed;
 * −errno. The caller frees it with podmon__handover__free_unpacked. Whatever comes of it, the
 * environment does not name it any more. */
int handover_take(Podmon__Handover **ret);

/* Is this process, or this number of a command's cgroup, among what was left? `handover` may be
 * NULL. */
bool handover_has_process(const Podmon__Handover *handover, pid_t pid);
bool handover_has_command(const Podmon__Handover *handover, uint32_t number);
