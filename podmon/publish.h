/* SPDX-License-Identifier: Apache-2.0 */
/* The pod's record: kept whole in memory as the message that is written, changed in place, and
 * published as a file before anybody is told of the change. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "podmon.pb-c.h"
#include "shared/failure.h"

/* Replaces the state file in the pod's directory below RUN, and counts the sequence up. On failure
 * readers see the record before. */
int publish_record(int run_fd, Podmon__PodRecord *record, Failure *why);

/* Replaces the copy in the pod's directory below ROOT, which outlives a reboot. Not for the way of
 * a reply: a disk's file system may take milliseconds for the rename. */
int publish_copy(int root_fd, const Podmon__PodRecord *record, Failure *why);

/* Strings of a message, which are malloc'ed or protobuf-c's constant empty one. −ENOMEM leaves the
 * field as it was. */
int record_set_text(char **field, const char *text);

int record_set_bytes(ProtobufCBinaryData *field, const void *data, size_t size);

/* The bytes as a string, malloc'ed; NULL if there are none, or no memory. */
char *record_copy_text(const ProtobufCBinaryData *field);

/* Replaces a list of strings by `list`, which belongs to the record from then on. */
void record_set_list(char ***field, size_t *field_count, char **list);

/* Sets or, with pid 0, clears. */
int record_set_process(Podmon__ProcessIdentity **field, pid_t pid, uint64_t start_time);

/* The record owns the container's from then on. −ENOMEM. */
int record_add_container(Podmon__PodRecord *record, Podmon__ContainerRecord *container);

/* Takes it out and frees it. */
void record_drop_container(Podmon__PodRecord *record, Podmon__ContainerRecord *container);
