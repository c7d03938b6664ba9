/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for klib's khash.h, which h2o/http2_internal.h includes and Debian does not package:
 * h2o's structures hold nothing but pointers to such a table, so an incomplete type is enough.
 * Looking something up with it (h2o_http2_conn_get_stream) ends the process. */
#pragma once

#include <stdint.h>
#include <stdlib.h>

typedef uint32_t khint_t;
typedef khint_t khiter_t;

#define khash_t(name) kh_##name##_t
#define KHASH_MAP_INIT_INT64(name, value)                                                          \
    typedef struct kh_##name##_s {                                                                 \
        value *vals;                                                                               \
    } kh_##name##_t;
#define kh_get(name, table, key) ((void)(table), (void)(key), abort(), (khint_t)0)
#define kh_end(table) ((void)(table), (khint_t)0)
#define kh_val(table, position) ((table)->vals[position])
