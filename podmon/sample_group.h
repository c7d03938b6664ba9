/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel has counted for a cgroup, from v1 or v2 alike. What it does not count here stays
 * zero or unset. */
#pragma once

#include "podmon.pb-c.h"
#include "podmon/cgroup_tree.h"

/* malloc'ed, with its time; freed with podmon__group_sample__free_unpacked. NULL without memory. */
Podmon__GroupSample *sample_group(const CgroupTree *tree, const char *path);

/* Processor time per second since an earlier sample of the same group; unknown where the clock was
 * set back or nothing lies between. Pure, like what follows. */
void sample_group_rate(Podmon__GroupSample *sample, int64_t earlier_at, uint64_t earlier_usage);

/* The number behind `key` in lines "key number"; 0 if there is none. */
uint64_t sample_number(const char *text, const char *key);

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=0", "full …". NULL without memory, or if the text
 * is no such thing. */
Podmon__PressureSample *sample_pressure(const char *text);

/* io.stat of v2: "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0" per device. */
void sample_io_v2(const char *text, Podmon__GroupSample *ret);

/* blkio.throttle.io_service_bytes and io_serviced of v1: "8:0 Read 4096" per device and kind. */
void sample_io_v1(const char *text, uint64_t *ret_reads, uint64_t *ret_writes);
