/* SPDX-License-Identifier: MIT */
/*
 * Whether kernels may have printed what the driver has not passed on yet. It does that in calls
 * that wait, and such a call costs as much as the look at an event before it; programs that only
 * copy need none. Serve thread.
 */
#ifndef VG_PRINTS_H
#define VG_PRINTS_H

#include <stdbool.h>
#include <stdint.h>

struct vg_exec;

struct vg_prints {
    uint64_t passed_on; /* of the kernels and graphs given so far, those whose output is out */
    bool unsure;        /* not all that runs was measured: nobody knows when it has ended */
};

/* Kernels and graphs given to the driver, ever. */
uint64_t vg_prints_given(const struct vg_exec *x);

/* True if the driver must be asked to pass on what was printed. */
bool vg_prints_due(const struct vg_exec *x);

/* It was asked when so many had been given. That was all, if now none of them runs any more. */
void vg_prints_passed_on(struct vg_exec *x, uint64_t given);

#endif
