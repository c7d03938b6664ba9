/* SPDX-License-Identifier: Apache-2.0 */
/* YAML as the JSON that it stands for: vendors write their device files in either. Pure. */
#pragma once

#include <cjson/cJSON.h>

/* The first document of `text`. Numbers, booleans and null are what JSON spells so; every other
 * scalar, and every quoted one, is a string. −EINVAL: no YAML, a key that is no scalar or stands
 * there twice, an alias (a few of them can stand for gigabytes), or deeper than 32; −ENOMEM. */
int yaml_parse(const char *text, cJSON **ret);
