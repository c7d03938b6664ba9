/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/initwatch.h"

#include "podmon/teardown.h"
#include "shared/log.h"

static void on_end(void *data, uint32_t events)
{
    Pod *pod = data;

    (void)events;
    initwatch_end(pod);
    log_error("the pod's init has ended, and with it all that shared its pids: the pod is stopped");
    teardown_stop_gracefully(pod);
}

void initwatch_begin(Pod *pod)
{
    if (!pod->record->init || pod->record->init->pid <= 0)
        return;
    if (pod->sandbox.init_pidfd < 0)
        on_end(pod, 0);
    else if (event_add_fd(pod->loop, pod->sandbox.init_pidfd, EPOLLIN, on_end, pod,
                          &pod->init_source) < 0)
        log_warning("the pod's init is not watched: no memory");
}

void initwatch_end(Pod *pod)
{
    pod->init_source = event_free(pod->init_source);
}
