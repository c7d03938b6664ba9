/* SPDX-License-Identifier: Apache-2.0 */
/* Places where a test can make the program fail, only in builds with -DPODMON_FAULTS=ON: elsewhere
 * they are nothing at all.
 *
 * The file that the environment's PODMON_FAULTS names has one line per place:
 *
 *     PLACE=TERM[->TERM]...      TERM is [COUNT*]ACTION[(ARGUMENT)]
 *
 * e.g. `container-cloned=2*off->1*kill`: nothing twice, then SIGKILL once, then nothing any more.
 * Counts are kept in the file, so that they go on in the next process. Actions: off, kill, segv,
 * abort, stop, exit, delay (milliseconds), error (errno, by number). */
#pragma once

#ifdef PODMON_FAULTS
/* 0, or −errno if an error is to be pretended. May not return at all. */
int faultpoint_reach(const char *place);
#define FAULTPOINT(place) faultpoint_reach(place)
#else
#define FAULTPOINT(place) 0
#endif
