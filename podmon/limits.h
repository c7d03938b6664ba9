/* SPDX-License-Identifier: Apache-2.0 */
/* Limits that change while they hold: requests name only what they change. Pure. */
#pragma once

#include "podmon.pb-c.h"

/* A copy of `old` (NULL: no limits) in which what `change` sets has taken the place of what was
 * there: numbers other than 0, texts other than "", and of hugepage limits and unified values those
 * with the same key. The caller's, by podmon__resources__free_unpacked; NULL without memory. */
Podmon__Resources *limits_merge(const Podmon__Resources *old, const Podmon__Resources *change);
