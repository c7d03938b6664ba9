/* SPDX-License-Identifier: Apache-2.0 */
/* What the dispatcher can ask: one row per call of proto/podmon.proto. */
#pragma once

#include "podmon/pod.h"

enum { REQUESTS_VERSION = 1 };

/* A ServerHandler; `data` is the Pod. */
void requests_handle(void *data, Call *call, const Podmon__Request *request);
