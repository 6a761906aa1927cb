/* SPDX-License-Identifier: MIT */
/*
 * Managed variables of a cubin. The driver would give them memory that only the host sees; the
 * guest needs them in its region. So a private copy of the cubin is changed before it is loaded:
 * what refers to a managed variable gets its address for good, and the variable becomes an ordinary
 * one that nothing refers to. What refers are words in data and constants, or, in linked code, the
 * halves of addresses in instructions. Pure: hostile bytes in, no driver.
 */
#ifndef VG_CUBIN_H
#define VG_CUBIN_H

#include <stddef.h>
#include <stdint.h>

/* A variable at its new place; nonzero ends the walk with this error. */
typedef int vg_cubin_tell(void *to, const char *name, uint64_t at, uint64_t bytes);

/* Bytes that its managed variables take behind each other, 0: it has none. -EINVAL: no cubin. */
int vg_cubin_managed_bytes(const uint8_t *cubin, size_t len, uint64_t *ret_bytes);

/*
 * Places them from `memory` on, which is the GPU's address too, is aligned to 256 and has `room`
 * bytes; initial contents are written there. -EINVAL, also where they take more than that: the file
 * changes meanwhile, and its tables may lie over each other. -ENOMEM, what `tell` answers; -ENOTSUP: it refers to one in a way that cannot be changed. On failure the copy is of no use.
 */
int vg_cubin_place_managed(uint8_t *cubin, size_t len, uint8_t *memory, uint64_t room,
                           vg_cubin_tell *tell, void *to);

/* Bytes of an ELF file whose headers are checked (image.h): the end of what lies last in it. */
size_t vg_cubin_length(const uint8_t *cubin);

#endif
