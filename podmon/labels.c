/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/labels.h"

#include <stdbool.h>
#include <stdio.h>

#include "shared/selinux.h"
#include "shared/text.h"

static const Podmon__SelinuxLabel NO_OPTIONS = PODMON__SELINUX_LABEL__INIT;

static const char *choose(const char *own, const char *of_pod, const char *otherwise)
{
    return *own ? own : *of_pod ? of_pod : otherwise;
}

static bool is_asked(const Podmon__SelinuxLabel *options)
{
    return *options->user || *options->role || *options->type || *options->level;
}

/* The pod's level is ours, so it says nothing about what was asked. */
static bool is_asked_of_pod(const Podmon__SelinuxLabel *options)
{
    return *options->user || *options->role || *options->type;
}

static int print_labels(const Podmon__SelinuxLabel *own, const Podmon__SelinuxLabel *of_pod,
                        Labels *ret, Failure *why)
{
    const char *level = choose(own->level, of_pod->level, "s0");
    int length = snprintf(ret->process, sizeof(ret->process), "%s:%s:%s:%s",
                          choose(own->user, of_pod->user, "system_u"),
                          choose(own->role, of_pod->role, "system_r"),
                          choose(own->type, of_pod->type, "container_t"), level);

    if (length >= LABELS_SIZE || !text_is_printable(ret->process))
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "SELinux label \"%.300s\" is no label",
                           ret->process);
    (void)snprintf(ret->file, sizeof(ret->file), "system_u:object_r:container_file_t:%s", level);
    return 0;
}

static int check_label(char label[LABELS_SIZE], bool asked, Failure *why)
{
    if (selinux_spell(label, LABELS_SIZE))
        return 0;
    if (asked)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "SELinux label \"%s\": the loaded policy does not know it", label);
    *label = '\0';
    return 0;
}

int labels_of(const Podmon__PodSpec *pod, const Podmon__SecurityPlan *security, Labels *ret,
              Failure *why)
{
    const Podmon__SelinuxLabel *of_pod = pod->selinux ? pod->selinux : &NO_OPTIONS;
    const Podmon__SelinuxLabel *own =
        security && security->selinux ? security->selinux : &NO_OPTIONS;
    bool asked = is_asked(own) || is_asked_of_pod(of_pod);
    bool privileged = security && security->privileged;
    int r;

    *ret = (Labels){0};
    if (!selinux_is_on()) {
        if (!asked || privileged)
            return 0;
        r = print_labels(own, of_pod, ret, why);
        return r < 0 ? r
                     : failure_say(why, FAILURE_FAILED_PRECONDITION,
                                   "SELinux label \"%s\": this kernel runs without SELinux",
                                   ret->process);
    }
    r = print_labels(own, of_pod, ret, why);
    if (r >= 0)
        r = check_label(ret->process, asked, why);
    if (r >= 0)
        r = check_label(ret->file, asked, why);
    if (r < 0 || !privileged)
        return r;
    (void)snprintf(ret->process, sizeof(ret->process), "system_u:system_r:spc_t:s0");
    return check_label(ret->process, false, why);
}
