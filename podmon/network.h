/* SPDX-License-Identifier: Apache-2.0 */
/* The pod's network by CNI (spec 1.0.0 and 0.3.1–0.4.0 results): a configuration list from a
 * directory, plugins executed one by one. Blocking: call it in a worker. Plugins get a fixed
 * environment, no shell, a bounded output, a deadline, and their own process group. */
#pragma once

#include <cjson/cJSON.h>
#include <stddef.h>

#include "podmon.pb-c.h"
#include "shared/failure.h"
#include "shared/text.h"

/* ADD with every plugin of the list. On success `ret_result` is what network_del needs, as JSON:
 * the configuration used and the last result. On failure DEL has been done with every plugin. */
int network_add(const Podmon__PodSpec *pod, const char *netns, Text *ret_result, Failure *why);

/* CHECK, where the configuration's version has it (0.4.0) and does not disable it; else 0. */
int network_check(const Podmon__PodSpec *pod, const char *netns, const char *result, Failure *why);

/* DEL in reverse order with the cached result; `netns` may be NULL (gone after a reboot). `result`
 * NULL: with the configuration as it is now. Idempotent. */
int network_del(const Podmon__PodSpec *pod, const char *netns, const char *result, Failure *why);

/* GC, for a configuration list that has it (cni.h): its plugins give back what they hold for any
 * container that is not in `ids` (NULL-terminated). Nothing may be added meanwhile
 * (network_lock.h). Every plugin is asked; the first failure is returned. */
int network_collect(const Podmon__NetworkPlan *plan, const cJSON *list, char *const *ids,
                    Failure *why);

/* The addresses in such a result, IPv4 first as CNI ordered them, without prefix length. Pure. The
 * list is the caller's (text_list_free). */
int network_addresses(const char *result, char ***ret);
