/* SPDX-License-Identifier: MIT */
/* What the parts of the program have in common on the device. */
#pragma once

#include <cstdint>

extern __device__ uint32_t calls;           /* of mix, in all threads */
extern __constant__ uint32_t factors[4];

__device__ uint32_t mix(uint32_t x, uint32_t salt);

/* A kernel of another part, launched from here. */
__global__ void fill(uint32_t *out, uint32_t n);
