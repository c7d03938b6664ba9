/* SPDX-License-Identifier: Apache-2.0 */
/* Takes from the process of a TLS connection what it does not need. */
#pragma once

/* Signals as they are by default, all descriptors closed but standard error and these two, nobody
 * as the user. 0 or −errno: the process is good for nothing but _exit then. */
int relay_drop(int client_fd, int plain_fd);

/* The filter of system calls: what is left is to move bytes. */
int relay_confine(void);
