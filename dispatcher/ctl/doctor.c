/* SPDX-License-Identifier: Apache-2.0 */
/* podmonctl doctor: what is on this machine that no pod owns, and which pods want a podmon. */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "dispatcher/ctl/command.h"
#include "dispatcher/ctl/repair.h"
#include "dispatcher/ctl/trace.h"
#include "shared/cleanup.h"

enum {
    /* A pod on its way up or down may look like litter. What is, is so in every look: longer than
     * a dispatcher takes to replace a podmon, and than one that could not start its pod stays. */
    LOOKS = 13,
    LOOK_MS = 500,
};

/* ---- one look */

static bool is_candidate(const Owners *owners, Trace *trace)
{
    trace->owner = owners_find(owners, trace->id);
    return trace_is_litter(trace->kind, trace->owner);
}

/* Keeps those that are to be kept, in their order. */
static void filter(Traces *traces, bool (*keep)(const void *data, Trace *trace), const void *data)
{
    size_t count = 0;

    for (size_t i = 0; i < traces->count; i++) {
        Trace *trace = &traces->items[i];

        if (keep(data, trace))
            traces->items[count++] = *trace;
        else
            free(trace->what);
    }
    traces->count = count;
}

static bool keep_candidate(const void *data, Trace *trace)
{
    return is_candidate(data, trace);
}

static int add_pods(const Owners *owners, Traces *traces)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < owners->count; i++)
        if (owners->items[i].state == OWNER_WAITING)
            r = traces_add(traces, TRACE_POD, owners->items[i].id, owners->items[i].id);
    return r;
}

/* Owners are read after what they may own: a pod made meanwhile is among them, and a pod removed
 * meanwhile has left nothing by the next look. */
static int look(const Command *command, Traces *ret, Failure *why)
{
    CLEANUP(owners_done) Owners before = {0}, owners = {0};
    CLEANUP(traces_done) Traces traces = {0};
    TraceDirectories directories = {command->run_dir, command->root_dir, NULL};
    int r = owners_read(command->run_dir, command->root_dir, command->config->slice, &before, why);

    if (r < 0)
        return r;
    directories.parents = before.parents;
    r = traces_find(&directories, &traces, why);
    if (r >= 0)
        r = owners_read(command->run_dir, command->root_dir, command->config->slice, &owners, why);
    if (r < 0)
        return r;
    if (add_pods(&owners, &traces) < 0)
        return failure_say(why, FAILURE_RESOURCE_EXHAUSTED, "no memory for what was found");
    filter(&traces, keep_candidate, &owners);
    *ret = traces;
    traces = (Traces){0};
    return 0;
}

/* ---- all of them */

static bool keep_seen(const void *data, Trace *trace)
{
    const Traces *seen = data;

    for (size_t i = 0; i < seen->count; i++)
        if (seen->items[i].kind == trace->kind && strcmp(seen->items[i].what, trace->what) == 0)
            return true;
    return false;
}

static int look_again(const Command *command, Traces *found, Failure *why)
{
    for (int i = 1; i < LOOKS && found->count > 0; i++) {
        CLEANUP(traces_done) Traces seen = {0};
        int r;

        (void)poll(NULL, 0, LOOK_MS);
        r = look(command, &seen, why);
        if (r < 0)
            return r;
        filter(found, keep_seen, &seen);
    }
    return 0;
}

static int compare(const void *left, const void *right)
{
    const Trace *a = left, *b = right;

    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    /* The deeper mount goes first. */
    return a->kind == TRACE_MOUNT ? strcmp(b->what, a->what) : strcmp(a->what, b->what);
}

/* A lease may be another runtime's, unless something else says that there was such a pod here. */
static bool is_ours(const Traces *found, const Trace *lease)
{
    if (lease->kind != TRACE_LEASE || lease->owner == OWNER_BROKEN)
        return true;
    for (size_t i = 0; i < found->count; i++)
        if (found->items[i].kind != TRACE_LEASE &&
            strncmp(found->items[i].id, lease->id, strlen(found->items[i].id)) == 0)
            return true;
    return false;
}

static const char *explain(const Trace *trace)
{
    static const char *const reasons[] = {
        [OWNER_NONE] = "there is no such pod",
        [OWNER_BROKEN] = "the record of its pod cannot be read",
        [OWNER_ENDED] = "its pod has been stopped",
        [OWNER_WAITING] = "no podmon looks after it",
        [OWNER_LIVES] = "its pod is well",
    };

    return reasons[trace->owner];
}

static bool repair(const Command *command, const Trace *trace)
{
    Failure why = {0};

    if (repair_trace(command, trace, &why) < 0) {
        (void)printf(": not repaired: %s\n", why.text);
        return false;
    }
    (void)printf(": repaired\n");
    return true;
}

int command_doctor(const Command *command, Failure *why)
{
    CLEANUP(traces_done) Traces found = {0};
    size_t findings = 0, repaired = 0;
    int r;

    if (command->arguments[0])
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "doctor takes no arguments");
    r = look(command, &found, why);
    if (r >= 0)
        r = look_again(command, &found, why);
    if (r < 0)
        return r;
    if (found.count > 0)
        qsort(found.items, found.count, sizeof(*found.items), compare);
    for (size_t i = 0; i < found.count; i++) {
        const Trace *trace = &found.items[i];
        bool ours = is_ours(&found, trace);

        (void)printf("%s %s: %s", trace_kind_name(trace->kind), trace->what, explain(trace));
        findings += ours;
        if (!ours)
            (void)printf("; it may be another runtime's and is left alone\n");
        else if (!command->repair)
            (void)printf("\n");
        else
            repaired += repair(command, trace);
    }
    (void)printf("%zu findings, %zu repaired\n", findings, repaired);
    if (findings == repaired)
        return 0;
    return failure_say(why, FAILURE_FAILED_PRECONDITION,
                       command->repair ? "not everything could be repaired"
                                       : "doctor --repair clears up");
}
