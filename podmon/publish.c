/* SPDX-License-Identifier: Apache-2.0 */
#include "podmon/publish.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shared/faultpoint.h"
#include "shared/layout.h"
#include "shared/record.h"
#include "shared/text.h"

int publish_record(int run_fd, Podmon__PodRecord *record, Failure *why)
{
    int r;

    record->sequence++;
    r = FAULTPOINT("publish");
    if (r >= 0)
        r = record_write_at(run_fd, LAYOUT_STATE, &record->base, 0600, FILE_SYNC_NO);
    return r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot write the pod's state file") : 0;
}

int publish_copy(int root_fd, const Podmon__PodRecord *record, Failure *why)
{
    /* Not synced: a copy that a power cut tears is known as such by its checksum. */
    int r = record_write_at(root_fd, LAYOUT_STATE, &record->base, 0600, FILE_SYNC_NO);

    return r < 0 ? failure_set(why, FAILURE_INTERNAL, -r, "cannot copy the pod's state file") : 0;
}

static void text_drop(char *text)
{
    if (text != protobuf_c_empty_string)
        free(text);
}

int record_set_text(char **field, const char *text)
{
    char *copy = strdup(text);

    if (!copy)
        return -ENOMEM;
    text_drop(*field);
    *field = copy;
    return 0;
}

int record_set_bytes(ProtobufCBinaryData *field, const void *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);

    if (!copy)
        return -ENOMEM;
    memcpy(copy, data, size);
    free(field->data);
    *field = (ProtobufCBinaryData){size, copy};
    return 0;
}

char *record_copy_text(const ProtobufCBinaryData *field)
{
    return field->len > 0 ? strndup((const char *)field->data, field->len) : NULL;
}

void record_set_list(char ***field, size_t *field_count, char **list)
{
    for (size_t i = 0; i < *field_count; i++)
        text_drop((*field)[i]);
    free(*field);
    *field = list;
    *field_count = text_list_count(list);
}

int record_set_process(Podmon__ProcessIdentity **field, pid_t pid, uint64_t start_time)
{
    if (pid == 0) {
        if (*field)
            podmon__process_identity__free_unpacked(*field, NULL);
        *field = NULL;
        return 0;
    }
    if (!*field) {
        *field = malloc(sizeof(**field));
        if (!*field)
            return -ENOMEM;
        podmon__process_identity__init(*field);
    }
    (*field)->pid = pid;
    (*field)->start_time = start_time;
    return 0;
}

int record_add_container(Podmon__PodRecord *record, Podmon__ContainerRecord *container)
{
    size_t size = (record->n_containers + 1) * sizeof(container);
    Podmon__ContainerRecord **containers = realloc(record->containers, size);

    if (!containers)
        return -ENOMEM;
    containers[record->n_containers++] = container;
    record->containers = containers;
    return 0;
}

void record_drop_container(Podmon__PodRecord *record, Podmon__ContainerRecord *container)
{
    size_t i = 0;

    while (record->containers[i] != container)
        i++;
    record->n_containers--;
    memmove(&record->containers[i], &record->containers[i + 1],
            (record->n_containers - i) * sizeof(container));
    podmon__container_record__free_unpacked(container, NULL);
}
