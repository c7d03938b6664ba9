/* SPDX-License-Identifier: Apache-2.0 */
/* What lowering wants to know of the node, gathered for one call. */
#pragma once

#include "dispatcher/api/call.h"
#include "dispatcher/cri/lower.h"

/* Reads the node's name and resolv.conf. Lives in the call's arena. */
LowerContext context_read(CriCall *call);
