/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/pods/samples.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/file.h"
#include "shared/layout.h"
#include "shared/number.h"
#include "shared/record.h"
#include "shared/text.h"

#define YOUNG (500 * CLOCK_MILLISECOND)

enum { CPU_FILE_MAX = 4096 };

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

/* "N" in nanoseconds (cpuacct.usage of cgroup v1), or "usage_usec N" (cpu.stat of v2). */
static bool parse_usage(char *text, uint64_t *ret)
{
    static const char key[] = "usage_usec ";
    bool keyed = text_starts_with(text, key);
    const char *number = keyed ? text + sizeof(key) - 1 : text;
    uint64_t unit = keyed ? 1000 : 1, value;

    text[strcspn(text, "\n")] = '\0';
    if (number_parse_unsigned(number, UINT64_MAX / unit, &value) < 0)
        return false;
    *ret = value * unit;
    return true;
}

void samples_freshen(Podmon__GroupSample *group, int64_t now)
{
    AUTO_FREE char *text = NULL;
    uint64_t usage;

    if (!*group->cpu_file || now - group->taken_at < (int64_t)YOUNG ||
        file_read_virtual_at(AT_FDCWD, group->cpu_file, CPU_FILE_MAX, &text, NULL) < 0 ||
        !parse_usage(text, &usage) || usage < group->cpu_usage)
        return;
    group->cpu_usage = usage;
    group->cpu_taken_at = now;
}

const Podmon__ContainerSample *samples_find(const Podmon__PodSample *sample, const char *id)
{
    for (size_t i = 0; sample && i < sample->n_containers; i++)
        if (strcmp(sample->containers[i]->id, id) == 0)
            return sample->containers[i];
    return NULL;
}
