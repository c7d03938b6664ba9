/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls that serving a connection needs, and no others. */
#pragma once

/* For good, in the calling process, which needs no_new_privs. 0 or −errno. */
int confine_stream(void);
