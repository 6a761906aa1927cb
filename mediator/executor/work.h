/* SPDX-License-Identifier: MIT */
/*
 * Which calls give the GPU work, or make its driver work for long, and what is known of one
 * before it is carried out. A table, no state.
 */
#ifndef VG_WORK_H
#define VG_WORK_H

#include <stdbool.h>
#include <stdint.h>

#include "vg_wire.h"

enum vg_work {
    VG_WORK_NONE,    /* passes at any time */
    VG_WORK_GPU,     /* kernels, graphs, copies, memsets: runs in a stream */
    VG_WORK_DRIVER,  /* memory and modules: takes locks that all processes share */
};

enum vg_work vg_work_of(const struct vg_call *c);

/*
 * Whether the driver may load code in it, which it does when code is first used. The guest asks for
 * the answer of a launch where that may be; one that it does not wait for says false.
 */
bool vg_work_loads(const struct vg_call *c);

/* Which kind of work the meter takes it for, and a first guess of its length in ns. */
uint64_t vg_work_key(const struct vg_call *c, uint64_t *ret_first);

/* The stream that it names; the legacy stream, where it names none. */
uint64_t vg_work_stream(const struct vg_call *c);

/*
 * Linear copies can be carried out in parts. Bytes of the whole; 0: it cannot. A part is
 * [at, at + bytes); all but the last have no answer and leave the staging chunk alone.
 */
uint64_t vg_work_divisible(const struct vg_call *c);
void vg_work_part(struct vg_call *c, uint64_t at, uint64_t bytes, bool last);

#endif
