/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/network_check.h"

#include "podmon/network.h"
#include "podmon/publish.h"
#include "podmon/teardown.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/log.h"

enum { CHECK_SECONDS = 60 };

static int check_run(void *data, Text *output, Failure *why)
{
    const Pod *pod = data;
    AUTO_FREE char *result = record_copy_text(&pod->record->network_result);

    (void)output;
    return result ? network_check(pod->spec, pod->record->network_namespace, result, why) : 0;
}

static void check_done(void *data, const char *output, size_t size, const Failure *why)
{
    Pod *pod = data;

    (void)output;
    (void)size;
    pod->network_worker = NULL;
    if (why)
        log_warning("the pod's network is not as it was made: %s", why->text);
    teardown_go_on(pod);
    pod_maybe_exit(pod);
}

void network_check_begin(Pod *pod)
{
    Failure why = {0};

    if (pod->network_added &&
        worker_start(pod->loop, check_run, pod, clock_monotonic() + CHECK_SECONDS * CLOCK_SECOND,
                     check_done, pod, &pod->network_worker, &why) < 0)
        log_warning("the pod's network is not checked: %s", why.text);
}
