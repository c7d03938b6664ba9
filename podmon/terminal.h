/* SPDX-License-Identifier: Apache-2.0 */
/* A container's terminal outlives its podmon: a process of one page of thoughts holds the master as
 * well, and hands it to whoever looks after the pod next. Without it the death of a podmon would be
 * a SIGHUP for everything at that terminal. */
#pragma once

#include "podmon.pb-c.h"
#include "shared/failure.h"

/* Starts the keeper and writes it into the record. It ends by itself a minute after the container's
 * first process (`pidfd`) has ended, should nobody dismiss it. */
int terminal_keep(int master, int pidfd, Podmon__ContainerRecord *record, Failure *why);

/* The master that the record's keeper holds; −ESRCH: there is none. */
int terminal_find(const Podmon__ContainerRecord *record);

/* Ends the keeper, if there is one. */
void terminal_dismiss(Podmon__ContainerRecord *record);
