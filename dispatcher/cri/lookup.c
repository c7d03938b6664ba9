/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cri/lookup.h"

#include <errno.h>

/* `r`: what the index said. */
static int explain(int r, const char *what, const char *field, const char *id, Failure *why)
{
    if (!*id)
        return failure_say(why, FAILURE_INVALID_ARGUMENT, "%s: must not be empty", field);
    if (r == -ENOTUNIQ)
        return failure_say(why, FAILURE_INVALID_ARGUMENT,
                           "%s: \"%.80s\" is the beginning of several ids", field, id);
    (void)failure_say(why, FAILURE_NOT_FOUND, "there is no %s \"%.80s\"", what, id);
    return -ENOENT;
}

int lookup_pod(CriCall *call, const char *id, const Pod **ret, Failure *why)
{
    PodIndex *index = cri_call_node(call)->pods;
    int r;

    pod_index_sync(index);
    r = pod_index_find(index, id, ret);
    return r < 0 ? explain(r, "pod sandbox", "pod_sandbox_id", id, why) : 0;
}

int lookup_container(CriCall *call, const char *id, const Pod **ret_pod,
                     const Podmon__ContainerRecord **ret, Failure *why)
{
    PodIndex *index = cri_call_node(call)->pods;
    int r;

    pod_index_sync(index);
    r = pod_index_find_container(index, id, ret_pod, ret);
    return r < 0 ? explain(r, "container", "container_id", id, why) : 0;
}
