/* SPDX-License-Identifier: Apache-2.0 */
/* JSON that came from outside, read by cJSON within bounds: size, depth, no name twice, no NUL
 * hidden in a string. Null counts as absent everywhere. */
#pragma once

#include <cjson/cJSON.h>
#include <stdint.h>

#include "podmon.pb-c.h"
#include "shared/failure.h"

enum { JSON_DEPTH_MAX = 32 };

/* `what` names the document in messages. `data` is terminated (data[size] is NUL). The caller
 * calls cJSON_Delete. −EINVAL, −EFBIG above `limit`. */
int json_parse(const char *what, const char *data, size_t size, size_t limit, cJSON **ret,
               Failure *why);

/* A member. 1: *ret is it; 0: absent or null (*ret is NULL); −EINVAL: not of this kind, or there
 * twice. The value belongs to the object. */
int json_get_object(const cJSON *object, const char *name, const cJSON **ret, Failure *why);
int json_get_array(const cJSON *object, const char *name, const cJSON **ret, Failure *why);
int json_get_string(const cJSON *object, const char *name, const char **ret, Failure *why);

/* As above; whole, not negative, exact (below 2^53). */
int json_get_size(const cJSON *object, const char *name, uint64_t *ret, Failure *why);

/* Copies in protobuf-c's form (malloc'ed); absent: none. */
int json_copy_string(const cJSON *object, const char *name, char **ret, Failure *why);
int json_copy_strings(const cJSON *object, const char *name, size_t *ret_count, char ***ret,
                      Failure *why);
int json_copy_pairs(const cJSON *object, const char *name, size_t *ret_count, Podmon__Pair ***ret,
                    Failure *why);
int json_copy_names(const cJSON *object, const char *name, size_t *ret_count, char ***ret,
                    Failure *why); /* the members' names only */

static inline void json_cleanup(cJSON **json)
{
    cJSON_Delete(*json);
}
