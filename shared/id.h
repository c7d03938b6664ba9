/* SPDX-License-Identifier: Apache-2.0 */
/* Ids of pods and containers: 64 lower-case hexadecimal digits, made here from getrandom(2). The
 * last 24 digits of a container's id are the first 24 of its pod's, so that whoever holds a
 * container's id finds the pod's directory without any table. */
#pragma once

#include <stdbool.h>

enum {
    ID_LENGTH = 64,
    ID_SIZE = ID_LENGTH + 1,
    ID_POD_PREFIX = 24, /* digits of the pod's id inside its containers' */
    ID_SHORT = 12,      /* what people are shown */
};

int id_make_pod(char ret[ID_SIZE]);
int id_make_container(const char *pod_id, char ret[ID_SIZE]);

/* Exactly 64 digits 0-9a-f: may become a part of a path. */
bool id_is_valid(const char *id);

/* 1 to 64 digits 0-9a-f: may be looked up, never joined into a path. */
bool id_is_prefix(const char *text);

/* Does this container belong to that pod? Both must be valid. */
bool id_belongs(const char *container_id, const char *pod_id);
