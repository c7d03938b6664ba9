/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/pods/samples.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "shared/layout.h"
#include "shared/record.h"

/* Values that are looked into without asking whether they are there. */
static bool is_complete(const Podmon__PodSample *sample)
{
    for (size_t i = 0; i < sample->n_containers; i++)
        if (!sample->containers[i]->group)
            return false;
    return sample->group;
}

int samples_read(const char *run_dir, const char *id, ProtobufCAllocator *allocator,
                 Podmon__PodSample **ret)
{
    ProtobufCMessage *message = NULL;
    char path[PATH_MAX];
    int r;

    if (snprintf(path, sizeof(path), "%s/" LAYOUT_PODS "/%s/" LAYOUT_SAMPLES "/" LAYOUT_SAMPLE,
                 run_dir, id) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    r = record_read_at(AT_FDCWD, path, &podmon__pod_sample__descriptor, allocator, &message);
    if (r < 0)
        return r;
    if (!is_complete((const Podmon__PodSample *)message)) {
        protobuf_c_message_free_unpacked(message, allocator);
        return -EBADMSG;
    }
    *ret = (Podmon__PodSample *)message;
    return 0;
}

const Podmon__ContainerSample *samples_find(const Podmon__PodSample *sample, const char *id)
{
    for (size_t i = 0; sample && i < sample->n_containers; i++)
        if (strcmp(sample->containers[i]->id, id) == 0)
            return sample->containers[i];
    return NULL;
}
