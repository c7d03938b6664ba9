/* SPDX-License-Identifier: Apache-2.0 */
/* CNI as text: the configuration list, what a plugin is given, what it answers. All pure but
 * cni_load. The configuration is an administrator's, an answer is a program's: both are bounded and
 * checked. Trees of cJSON belong to the caller unless a comment says otherwise. */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "podmon.pb-c.h"
#include "shared/failure.h"

enum { CNI_CONFIG_MAX = 1024 * 1024, CNI_PLUGINS_MAX = 32 };

static inline void cni_json_cleanup(cJSON **json)
{
    cJSON_Delete(*json);
}

/* A checked list: cniVersion is one we speak, name and every type are plain names. A single
 * plugin's configuration (*.conf) becomes a list of one. *ret is the list's tree. */
int cni_parse_list(const char *text, cJSON **ret, Failure *why);

/* The first file *.conflist, *.conf or *.json by name in the directory that parses. NOT_FOUND:
 * none (FAILED_PRECONDITION with the first one's fault if there are some, but none parses). */
int cni_load(const char *directory, cJSON **ret, Failure *why);

/* Since 0.4.0 there is CHECK, and DEL is given the result of ADD. */
bool cni_has_check(const cJSON *list);

/* Since 1.1.0 there is GC, unless the list says disableGC. */
bool cni_has_collection(const cJSON *list);

/* The keys under which GC is told what is still attached: the second is what libcni 1.2.0 to 1.2.2
 * knew. */
#define CNI_ATTACHMENTS "cni.dev/valid-attachments"
#define CNI_ATTACHMENTS_OLD "cni.dev/attachments"
#define CNI_INTERFACE "eth0" /* inside of every pod */

/* What the runtime knows, by the names of CNI's capabilities: {"portMappings": …, "dns": …}. */
int cni_capability_args(const Podmon__PodSpec *pod, cJSON **ret, Failure *why);

/* The configuration of one plugin of the list, as it goes to its standard input: with the list's
 * name and version, the arguments for capabilities it has, and the result so far (may be NULL).
 * free() it. */
int cni_plugin_config(const cJSON *list, const cJSON *plugin, const cJSON *capability_args,
                      const cJSON *previous, char **ret);

/* CNI_ARGS for this pod. free() it. INVALID_ARGUMENT for a value that could be read as more than
 * one. */
int cni_arguments(const Podmon__PodSpec *pod, char **ret, Failure *why);

/* A plugin's successful answer: an object without an error's fields. −EBADMSG. */
int cni_parse_result(const char *text, cJSON **ret);

/* The sentence in a plugin's error answer; false: it is none. */
bool cni_describe_error(const char *text, char *ret, size_t size);
