/* SPDX-License-Identifier: MIT */
/*
 * A driver for fuzzing only: accepts everything, gives out handles and addresses,
 * and reads every byte it was promised and writes every byte it may, so that the
 * sanitizers see what a real driver would touch.
 */
#ifndef VG_FAKE_CUDA_H
#define VG_FAKE_CUDA_H

#include <stdbool.h>
#include <stdint.h>

#include "mediator/executor/cuda.h"

void fake_cuda_fill(struct vg_cuda *c);

/* Starts afresh: frees what the last input left, and varies answers by `seed`. */
void fake_cuda_reset(uint32_t seed);

#endif
