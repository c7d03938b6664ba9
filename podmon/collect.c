/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/collect.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "podmon/cni.h"
#include "podmon/network.h"
#include "podmon/network_lock.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/id.h"
#include "shared/layout.h"
#include "shared/log.h"
#include "shared/number.h"
#include "shared/path.h"
#include "shared/text.h"

enum { ARGUMENTS_MIN = 6, EXIT_USAGE = 2, TIMEOUT_MAX_MS = 3600 * 1000 };

/* Appends the ids of the pods in one of the two directories. None there: no pods. */
static int add_pods(const char *base, char ***ids, Failure *why)
{
    CLEANUP(text_done) Text path = {0};
    struct dirent **names = NULL;
    int r = text_print(&path, "%s/" LAYOUT_PODS, base);
    int count = r < 0 ? 0 : scandir(path.data, &names, NULL, NULL);

    if (count < 0 && errno != ENOENT)
        r = -errno;
    for (int i = 0; i < count; i++) {
        if (r >= 0 && id_is_valid(names[i]->d_name))
            r = text_list_add(ids, names[i]->d_name);
        free(names[i]);
    }
    free(names);
    return r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot read the pods in %s", base) : 0;
}

/* The lock comes first: a pod that is not listed then has not been added yet either. */
static int collect(const char *run, const char *root, const Podmon__NetworkPlan *plan, Failure *why)
{
    CLEANUP(text_list_cleanup) char **ids = calloc(1, sizeof(*ids));
    AUTO_CLOSE int run_fd = open(run, O_PATH | O_DIRECTORY | O_CLOEXEC), lock = -1;
    CLEANUP(cni_json_cleanup) cJSON *list = NULL;
    int r = cni_load(plan->conf_dir, &list, why);

    if (r < 0)
        return why->code == FAILURE_NOT_FOUND ? 0 : r;
    if (!cni_has_collection(list))
        return 0;
    if (!ids || run_fd < 0)
        return failure_set(why, FAILURE_INTERNAL, errno, "cannot open %s", run);
    r = lock = network_lock(run_fd, NETWORK_COLLECTS,
                            clock_monotonic() + plan->timeout_ms * CLOCK_MILLISECOND, why);
    if (r >= 0)
        r = add_pods(run, &ids, why);
    if (r >= 0)
        r = add_pods(root, &ids, why);
    return r < 0 ? r : network_collect(plan, list, ids, why);
}

int collect_main(int argc, char **argv)
{
    Podmon__NetworkPlan plan = PODMON__NETWORK_PLAN__INIT;
    Failure why = {0};
    uint64_t timeout;

    if (argc < ARGUMENTS_MIN || number_parse_unsigned(argv[4], TIMEOUT_MAX_MS, &timeout) < 0) {
        (void)fputs("usage: podmon " COLLECT_COMMAND
                    " RUN ROOT CONFIGURATIONS TIMEOUT-MS PLUGINS...\n",
                    stderr);
        return EXIT_USAGE;
    }
    log_open("podmon", LOG_LEVEL_INFO);
    plan.conf_dir = argv[3];
    plan.timeout_ms = (uint32_t)timeout;
    plan.bin_dirs = argv + 5;
    plan.n_bin_dirs = (size_t)argc - 5;
    if (collect(argv[1], argv[2], &plan, &why) == 0)
        return EXIT_SUCCESS;
    log_warning("the network's garbage is not collected: %s", why.text);
    return EXIT_FAILURE;
}
