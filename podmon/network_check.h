/* SPDX-License-Identifier: Apache-2.0 */
/* After podmon has come back: does the pod's network still exist as the plugins made it? */
#pragma once

#include "podmon/pod.h"

/* For a pod that is ready. Asks the plugins (CHECK) beside everything else, and says in the log
 * what they found; the pod stays as it is, since a probe of the kubelet's tells more. A stop ends
 * it. */
void network_check_begin(Pod *pod);
