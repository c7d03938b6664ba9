/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/sample_layer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "shared/clock.h"
#include "shared/file.h"
#include "shared/layout.h"

enum {
    SMALL_ENTRIES = 500, /* a millisecond */
    COST_DIVISOR = 100,  /* at most this part of the time goes into measuring */
    NAME_SIZE = ID_SIZE + sizeof(LAYOUT_UPPER),
};

#define MEASURE_TIMEOUT (300 * CLOCK_SECOND)

bool sample_layer_is_due(const Podmon__LayerSample *last, uint64_t period, int64_t now)
{
    uint64_t pause;

    if (!last || now < last->taken_at)
        return true;
    pause = last->took > period / COST_DIVISOR ? last->took * COST_DIVISOR : period;
    return (uint64_t)(now - last->taken_at) >= pause;
}

static Podmon__LayerSample *make_sample(uint64_t bytes, uint64_t inodes, uint64_t took)
{
    Podmon__LayerSample *sample = malloc(sizeof(*sample));

    if (!sample)
        return NULL;
    podmon__layer_sample__init(sample);
    sample->taken_at = clock_real();
    sample->bytes = bytes;
    sample->inodes = inodes;
    sample->took = took;
    return sample;
}

static const char *name_of(const char *container_id, char ret[NAME_SIZE])
{
    (void)snprintf(ret, NAME_SIZE, "%s/" LAYOUT_UPPER, container_id);
    return ret;
}

int sample_layer(const Pod *pod, const char *container_id, Podmon__LayerSample **ret)
{
    uint64_t begin = clock_monotonic(), bytes, inodes;
    char name[NAME_SIZE];
    int r = file_measure_small_tree_at(pod->root_fd, name_of(container_id, name), SMALL_ENTRIES,
                                       &bytes, &inodes);

    if (r < 0)
        return r;
    *ret = make_sample(bytes, inodes, clock_monotonic() - begin);
    return *ret ? 0 : -ENOMEM;
}

typedef struct LayerJob {
    const Pod *pod;
    const char *container_id;
} LayerJob;

static int measure(void *data, Text *output, Failure *why)
{
    const LayerJob *job = data;
    uint64_t begin = clock_monotonic(), bytes, inodes;
    char name[NAME_SIZE];
    int r =
        file_measure_tree_at(job->pod->root_fd, name_of(job->container_id, name), &bytes, &inodes);

    if (r >= 0)
        r = text_print(output, "%" PRIu64 " %" PRIu64 " %" PRIu64, bytes, inodes,
                       clock_monotonic() - begin);
    return r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot measure what container %s wrote",
                               job->container_id)
                 : 0;
}

int sample_layer_begin(const Pod *pod, const char *container_id, WorkerDone done, void *data,
                       Worker **ret, Failure *why)
{
    LayerJob job = {pod, container_id};

    return worker_start(pod->loop, measure, &job, clock_monotonic() + MEASURE_TIMEOUT, done, data,
                        ret, why);
}

int sample_layer_parse(const char *output, Podmon__LayerSample **ret)
{
    uint64_t bytes, inodes, took;

    /* NOLINTNEXTLINE(cert-err34-c): written by the child of this very program */
    if (sscanf(output, "%" SCNu64 " %" SCNu64 " %" SCNu64, &bytes, &inodes, &took) != 3)
        return -EBADMSG;
    *ret = make_sample(bytes, inodes, took);
    return *ret ? 0 : -ENOMEM;
}
