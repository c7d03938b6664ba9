/* SPDX-License-Identifier: Apache-2.0 */
/* What devices a control group's processes may make and open: written to the devices controller of
 * cgroup v1, or as a BPF program (BPF_PROG_TYPE_CGROUP_DEVICE, Linux 4.15) attached to a group of
 * v2. Both come from the same rules (devices_rules). */
#pragma once

#include <linux/bpf.h>
#include <stddef.h>

#include "podmon.pb-c.h"
#include "shared/failure.h"

/* Applies what the spec asks for to the container's group, before there is a process in it. The
 * program lives as long as the group, whatever becomes of podmon. FAILED_PRECONDITION on a machine
 * that can do neither. */
int device_filter_apply(const Podmon__ContainerSpec *spec, const char *cgroup, Failure *why);

/* Pure. The program of the rules ("c 1:3 rwm", "b *:* m", "a"): 1 for what one of them allows as a
 * whole, else 0. The instructions are the caller's (free). −EINVAL for what is no rule. */
int device_filter_compile(const char *const *rules, size_t count, struct bpf_insn **ret,
                          size_t *ret_count);

/* Attaches the program to the group of v2 that the directory is, besides those of the groups
 * above. 0 or −errno. */
int device_filter_attach(int cgroup_fd, const struct bpf_insn *instructions, size_t count);
