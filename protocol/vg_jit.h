/* SPDX-License-Identifier: MIT */
/* What both sides must agree on about options of the JIT. Any thread. */
#ifndef VG_JIT_H
#define VG_JIT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Options (CUjit_option) that take a number. All others take pointers: the guest does not send
 * them, and the host does not pass them on.
 */
bool vg_jit_is_number(uint64_t option);

#endif
