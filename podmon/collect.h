/* SPDX-License-Identifier: Apache-2.0 */
/* `podmon collect`: asks the network plugins to give back what no pod of this node uses (CNI's GC).
 * The dispatcher starts it once, at its own start. It is podmon's because plugins are: the
 * dispatcher never executes one. */
#pragma once

#define COLLECT_COMMAND "collect"

/* Arguments: "collect" RUN ROOT CONFIGURATIONS TIMEOUT-MS PLUGINS…, with directories as absolute,
 * clean paths. The exit code. */
int collect_main(int argc, char **argv);
