/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of single values of a request. Each returns NULL for a good value, else what is wrong with
 * it, in words that follow the value in a sentence: "is not absolute". */
#pragma once

#include "shared/failure.h"

/* INVALID_ARGUMENT: `field: "value" problem`, or `field: problem` for an empty value. The value is
 * cut to 200 bytes. Returns −EINVAL. */
int check_refuse(Failure *why, const char *value, const char *problem, const char *field, ...)
    __attribute__((format(printf, 4, 5)));

/* A name of Kubernetes metadata: 1 to 253 bytes, printable, without ';', which would end an
 * argument in CNI_ARGS. */
const char *check_metadata_name(const char *text);

/* RFC 1123: labels of letters, digits and '-', joined by dots; at most 64 bytes, the kernel's
 * limit. */
const char *check_hostname(const char *text);

/* One word of resolv.conf: not empty, no white space, no control byte. */
const char *check_word(const char *text);

/* Absolute, printable, shorter than PATH_MAX. */
const char *check_absolute_path(const char *text);

/* Relative, every component a file name: cannot lead out of the directory it is joined to. */
const char *check_relative_path(const char *text);

/* An IPv4 or IPv6 address. */
const char *check_address(const char *text);

/* A list of numbers and ranges: "0-3,8". */
const char *check_cpu_list(const char *text);

/* A page size as the kernel spells it in file names: "2MB". */
const char *check_page_size(const char *text);

/* A file of cgroup v2: "memory.high". */
const char *check_cgroup_file(const char *text);

/* At most 4 KiB without a control byte: what is written into a file of the kernel in one piece. */
const char *check_kernel_value(const char *text);

/* The name of a systemd slice: "kubepods-burstable.slice". */
const char *check_slice(const char *text);
