/* SPDX-License-Identifier: Apache-2.0 */
/* One call of one plugin: found by name, executed without a shell, fed, read and timed. Blocking.
 */
#pragma once

#include "podmon.pb-c.h"
#include "shared/failure.h"
#include "shared/text.h"

enum { CNI_OUTPUT_MAX = 1024 * 1024 };

typedef struct CniCall {
    const Podmon__NetworkPlan *plan; /* where the plugins are, and how long each may take */
    const char *command;             /* "ADD", "DEL", "CHECK", "GC" */
    const char *container_id;        /* NULL with GC, which is about no pod */
    const char *netns;               /* a path, or NULL */
    const char *arguments;           /* CNI_ARGS, or NULL */
} CniCall;

/* Runs plugin `type` with `config` on its standard input. 0: it succeeded and this is its output.
 * Else the sentence says what it said, or how it ended. */
int cni_plugin_run(const CniCall *call, const char *type, const char *config, Text *ret_output,
                   Failure *why);
