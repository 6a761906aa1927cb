/* SPDX-License-Identifier: MIT */
/* What the parts of the fuzzing driver share: one source of answers, and how it touches memory. */
#ifndef VG_FAKE_PRIVATE_H
#define VG_FAKE_PRIVATE_H

#include <stddef.h>

#include "tests/fuzz/fake_cuda.h"

uint32_t fake_draw(void);                       /* from the seed */
CUresult fake_outcome(void);                    /* mostly success */
void fake_give_handle(void *ret_handle);        /* NULL is fine */
uint64_t fake_address(uint64_t bytes);          /* so many of nobody else's */

/* Touch all of it; NULL is fine. */
void fake_read(const void *p, size_t n);
void fake_write(void *p, size_t n);

/* What a driver would free later: freed at the next reset, once. */
void fake_keep(void *p);

/* Reads the image, and writes all the room that was given for messages. */
void fake_jit(const void *image, const CUjit_option *option, void **value, unsigned n);

void fake_graph_fill(struct vg_cuda *c);

/* Also forgets all states of links. */
void fake_link_fill(struct vg_cuda *c);

/* Also forgets what was registered. */
void fake_pins_fill(struct vg_cuda *c);
/* Ends the program if a copy of this host memory is one that a driver refuses. */
void fake_pins_check(const void *p, size_t n);

#endif
