/* SPDX-License-Identifier: MIT */
/* From where to where in a function each virtual register holds a value. */
#ifndef VG_PTX_LIVENESS_H
#define VG_PTX_LIVENESS_H

#include <stdint.h>

struct lower;

struct life {
    uint32_t first, last; /* uops, inclusive */
    int used;
};

/* One per virtual register, in the load's arena. Labels must be resolved. */
struct life *ptx_liveness(struct lower *l);

#endif
