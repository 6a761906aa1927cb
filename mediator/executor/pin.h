/* SPDX-License-Identifier: MIT */
/*
 * What of the region the GPU sees: its parts (vg_region.h), registered with the driver as the
 * guest comes to use them, for all contexts, at their own address. To make and pin the pages of
 * a region takes 0.2 to 0.6 s per GiB, so what nobody uses is left alone. Registrations live and die
 * with the context they were made in (x->registrar), and are made anew in the next one.
 *
 * Where the driver refuses, copies bounce (bounce.h), and kernels do not reach the region. Serve thread, unless something else is said.
 */
#ifndef VG_PIN_H
#define VG_PIN_H

#include <stdbool.h>
#include <stdint.h>

#include "vg_cuda.h"

struct vg_exec;

struct vg_pins {
    uint32_t wanted;  /* parts that the guest uses, a bit each */
    uint32_t done;    /* of them, registered through x->registrar */
    uint32_t joined;  /* bit n: parts n and n + 1 are one registration, without a seam */
    uint32_t refused; /* by the driver; not asked again before the context has ended */
    bool told;        /* which is in the log: once is enough */
};

/* A guest has come; `says` what it uses, or else it is all of the region. */
void vg_pins_init(struct vg_pins *p, bool says);

/* Registers what is wanted, if nothing is: ctx is current, or is the primary one of what is. */
void vg_pins_begin(struct vg_exec *x, CUcontext ctx);
/* The context has ended, and the registrations with it if it was theirs. */
void vg_pins_end(struct vg_exec *x, CUcontext ctx);

/* True if the GPU sees all of it: also of what is not the region's memory. */
bool vg_pins_is_seen(const struct vg_exec *x, uint64_t addr, uint64_t bytes);
/* True if the driver has refused some of it. */
bool vg_pins_is_refused(const struct vg_exec *x, uint64_t addr, uint64_t bytes);

/*
 * How many of the bytes from addr on one copy of the driver may name: it refuses those that
 * reach from one registration into the next. All of them where that is not the region's memory.
 */
uint64_t vg_pins_reach(const struct vg_exec *x, uint64_t addr, uint64_t bytes);

#endif
