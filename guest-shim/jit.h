/* SPDX-License-Identifier: MIT */
/*
 * The options of a module load: numbers that the host's compiler gets, and buffers of
 * the application that its messages go to. On the caller's stack.
 */
#ifndef VG_SHIM_JIT_H
#define VG_SHIM_JIT_H

#include <stdbool.h>
#include <stddef.h>

#include "vg_cuda.h"
#include "vg_wire.h"

struct vg_jit_log {
    char *buffer;               /* the application's, or NULL */
    size_t size;                /* bytes at buffer */
    void **ret_used;            /* where the application learns how much was written, or NULL */
    bool given;         /* the buffer was named, be it NULL */
};

struct vg_jit {
    unsigned count;
    struct vg_jit_option option[VG_JIT_OPTIONS_MAX];
    struct vg_jit_log error, info;
    void **ret_wall_ms;         /* a float in it, or NULL */
};

/* CUDA_ERROR_INVALID_VALUE for an option that CUDA does not know. count may be 0. */
CUresult vg_jit_init(struct vg_jit *jit, unsigned count, const CUjit_option *options, void **values);

static inline bool vg_jit_wants_log(const struct vg_jit *jit)
{
    return jit->error.buffer || jit->info.buffer;
}

/* What CU_JIT_WALL_TIME asks for. */
void vg_jit_took(const struct vg_jit *jit, double ms);

/* Delivers the host's answer: two texts, each with its NUL. Garbage counts as empty. */
void vg_jit_report(const struct vg_jit *jit, const char *texts, size_t bytes);

#endif
