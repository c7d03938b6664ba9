/* SPDX-License-Identifier: Apache-2.0 */
/* Signals by the names that images and the API use. The API's own numbers are not the kernel's. */
#pragma once

#include "runtime_v1.pb-c.h"

/* "SIGTERM", "term", "15", "SIGRTMIN+3", "RTMAX-2". Returns the kernel's number, or −ENOENT. */
int signal_names_find(const char *name);

/* The kernel's number of a value of the API other than RUNTIME_DEFAULT, or −ENOENT. */
int signal_names_of_api(Runtime__V1__Signal value);

/* The API's value for a number of the kernel; RUNTIME_DEFAULT if it has none. */
Runtime__V1__Signal signal_names_to_api(int number);
