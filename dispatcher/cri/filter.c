/* SPDX-License-Identifier: Apache-2.0 */
#include "dispatcher/cri/filter.h"

#include <string.h>

#include "dispatcher/cri/map.h"
#include "dispatcher/cri/raise.h"
#include "shared/text.h"

/* Every label of the selector is there, with the same value. */
static bool labels_match(const void *selector, size_t selector_count, Podmon__Pair *const *labels,
                         size_t count)
{
    for (size_t i = 0; i < selector_count; i++) {
        bool found = false;

        for (size_t j = 0; j < count && !found; j++)
            found = strcmp(labels[j]->key, map_key(selector, i)) == 0 &&
                    strcmp(labels[j]->value, map_value(selector, i)) == 0;
        if (!found)
            return false;
    }
    return true;
}

bool filter_pod(const Runtime__V1__PodSandboxFilter *filter, const Podmon__PodRecord *pod)
{
    if (!filter)
        return true;
    if (!text_starts_with(pod->spec->id, filter->id))
        return false;
    if (filter->state && filter->state->state != raise_pod_state(pod))
        return false;
    return labels_match(filter->label_selector, filter->n_label_selector, pod->spec->labels,
                        pod->spec->n_labels);
}

bool filter_container(const Runtime__V1__ContainerFilter *filter, const Podmon__PodRecord *pod,
                      const Podmon__ContainerRecord *container)
{
    const Podmon__ContainerSpec *spec = container->spec;

    if (!filter)
        return true;
    if (!text_starts_with(spec->id, filter->id) ||
        !text_starts_with(pod->spec->id, filter->pod_sandbox_id))
        return false;
    if (filter->state && filter->state->state != raise_container_state(container))
        return false;
    return labels_match(filter->label_selector, filter->n_label_selector, spec->labels,
                        spec->n_labels);
}

bool filter_pod_stats(const Runtime__V1__PodSandboxStatsFilter *filter,
                      const Podmon__PodRecord *pod)
{
    return !filter || (text_starts_with(pod->spec->id, filter->id) &&
                       labels_match(filter->label_selector, filter->n_label_selector,
                                    pod->spec->labels, pod->spec->n_labels));
}

bool filter_container_stats(const Runtime__V1__ContainerStatsFilter *filter,
                            const Podmon__PodRecord *pod, const Podmon__ContainerRecord *container)
{
    const Podmon__ContainerSpec *spec = container->spec;

    return !filter || (text_starts_with(spec->id, filter->id) &&
                       text_starts_with(pod->spec->id, filter->pod_sandbox_id) &&
                       labels_match(filter->label_selector, filter->n_label_selector, spec->labels,
                                    spec->n_labels));
}
