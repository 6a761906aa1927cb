/* SPDX-License-Identifier: MIT */
/*
 * Counters of the calls that cross to the host, by call, for whoever wants to know what a
 * program costs: VGPU_STATS=1 prints them on standard error, any other value appends
 * them to the file of that name. From the program's start to its end, and from each
 * cuProfilerStart to cuProfilerStop.
 */
#ifndef VG_SHIM_STATS_H
#define VG_SHIM_STATS_H

#include <stdbool.h>

#include "vg_wire.h"

extern bool vg_stats_on;

/* A record is about to be published. The caller holds the ring. */
void vg_stats_count(const struct vg_call *call);

/* Begins anew to count what the next vg_stats_end prints. Any thread. */
void vg_stats_begin(void);
void vg_stats_end(void);

/* Prints all since the program's start. */
void vg_stats_exit(void);

#endif
