/* SPDX-License-Identifier: MIT */
/*
 * Checks of copies and fills that streams and graph nodes share.
 */
#ifndef VG_SOFTGPU_COPY_H
#define VG_SOFTGPU_COPY_H

#include "op.h"

/* Checks extents, pitches and addresses. Says which ends are ordinary memory of the process. */
CUresult vg_copy_check(CUDA_MEMCPY3D *d, bool *ret_src_pageable, bool *ret_dst_pageable);

/* A pitch or height of 0 means: no gaps. */
void vg_copy_default_pitch(CUDA_MEMCPY3D *d);

/* Checks a copy and hands it to a stream. wait: returns when it is done. */
CUresult vg_copy_issue(const CUDA_MEMCPY3D *d, CUstream stream, bool wait);

/* Checks element size, alignment and address. */
CUresult vg_memset_check(const struct vg_op_memset *m);

#endif
