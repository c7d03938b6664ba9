/* SPDX-License-Identifier: Apache-2.0 */
/* The counters of a network namespace's interfaces, by a netlink socket that was opened inside it
 * once and works from anywhere. */
#pragma once

#include "podmon.pb-c.h"

/* A socket, or −errno. The calling process has one thread and is where it was when this returns;
 * if it cannot go back, it ends: better no podmon than one in the pod's network. */
int sample_network_open(int netns_fd);

/* Adds the interfaces but the loopback to the sample, which has none yet. −errno. */
int sample_network(int socket_fd, Podmon__PodSample *sample);
