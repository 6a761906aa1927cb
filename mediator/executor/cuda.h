/* SPDX-License-Identifier: MIT */
/*
 * The driver, NVIDIA's or the software GPU: one pointer per row of the API table,
 * found by dlsym. A symbol the library lacks answers CUDA_ERROR_NOT_SUPPORTED, so
 * no caller ever checks for NULL.
 */
#ifndef VG_EXEC_CUDA_H
#define VG_EXEC_CUDA_H

#include "vg_api.h"

struct vg_cuda {
    void *dl;
#define VG_API(id, symbol, base, since, mode, class) CUresult (*symbol)(VG_PARAMS(symbol));
#include "vg_api.def"
};

/* All entries answer NOT_SUPPORTED. */
void vg_cuda_init_missing(struct vg_cuda *c);

/* 0, or -ENOENT with *ret_why from the dynamic linker. Does not call into the library. */
int vg_cuda_open(struct vg_cuda *c, const char *driver, const char **ret_why);

/* True for the results that stay with a context (or the process) once they happened. */
bool vg_cuda_is_sticky(CUresult r);

#endif
