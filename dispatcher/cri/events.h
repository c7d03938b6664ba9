/* SPDX-License-Identifier: Apache-2.0 */
/* Whoever has called GetContainerEvents, and what is sent to them. While nobody has, nothing is
 * watched. */
#pragma once

typedef struct Events Events;

/* No call may be open any more. Returns NULL; accepts NULL. */
Events *events_free(Events *events);
