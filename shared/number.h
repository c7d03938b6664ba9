/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers out of text: decimal, the whole string, no sign but a leading '-', no space, no '+'. */
#pragma once

#include <stdint.h>

/* −EINVAL: no number; −ERANGE: outside min..max. *ret only on success. */
int number_parse_unsigned(const char *text, uint64_t max, uint64_t *ret);
int number_parse_signed(const char *text, int64_t min, int64_t max, int64_t *ret);
