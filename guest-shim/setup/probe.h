/* SPDX-License-Identifier: MIT */
/*
 * The parts of vgpu-guest-probe. What they find out is printed, "KEY VALUE" a line, and on
 * trouble "KEY-error TEXT". One thread.
 */
#ifndef VG_PROBE_H
#define VG_PROBE_H

/* KEY-error WHAT, with the library's code if it is not 0. The program then ends with status 1. */
void vg_probe_complain(const char *key, const char *what, int code);

/* A function by name; complains once and returns NULL if it is not there, or no library. */
void *vg_probe_find(void *library, const char *key, const char *name);

/* ---- compute.c: after cuInit ---- */

/* Runs a kernel and holds its result against the processor's: "cuda-kernel right". */
void vg_probe_kernel(void *library);

/* Launches it `count` times and waits for each: "cuda-launches COUNT". */
void vg_probe_load(void *library, unsigned count);

#endif
