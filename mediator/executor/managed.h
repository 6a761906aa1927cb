/* SPDX-License-Identifier: MIT */
/*
 * Libraries with managed variables, which lie in the region where guest and GPU both see them.
 * The software GPU is told the place; for NVIDIA's driver the cubin is changed (cubin.h). Serve
 * thread.
 */
#ifndef VG_MANAGED_H
#define VG_MANAGED_H

#include "mediator/executor/executor.h"

struct vg_jit;

/* A variable of a library that the driver does not know as one. */
struct vg_managed {
    struct vg_managed *next;
    uint64_t library;
    uint64_t at, bytes;
    char name[];
};

/*
 * The place for those of a library that is being loaded: vg_placing points to it meanwhile, in the
 * serve thread; another library may be loaded beside it (aside.h), which has none.
 */
struct vg_placing {
    uint8_t *memory;            /* NULL: none yet */
    uint64_t room, needed;      /* bytes */
    struct vg_managed *vars;    /* found so far */
};
extern __thread struct vg_placing *vg_placing;

/* From the words of an IMAGE_LOAD. CUDA_ERROR_INVALID_VALUE: no such place in the region. */
CUresult vg_placing_init(struct vg_placing *p, struct vg_exec *x, const struct vg_req *r);

/*
 * What to load of an image whose headers are checked: a cubin in it, or itself for the software
 * GPU. NULL: nothing that can be changed; *ret_link tells whether linking makes it so.
 */
const void *vg_placing_image(const struct vg_exec *x, const uint8_t *image, size_t len,
                             bool *ret_link);

/* cuLibraryLoadData with vg_placing. CUDA_ERROR_OUT_OF_MEMORY where needed > room. */
CUresult vg_placing_load(struct vg_exec *x, const void *image, struct vg_jit *j,
                         CUlibrary *ret_library);

/* Keeps what was found as `library`'s, or drops it (0). */
void vg_placing_fini(struct vg_placing *p, struct vg_exec *x, uint64_t library);

/* The variable of a library, or NULL. */
const struct vg_managed *vg_managed_find(const struct vg_exec *x, uint64_t library,
                                         const char *name);

/* Forgets those of a library; 0: all. */
void vg_managed_forget(struct vg_exec *x, uint64_t library);

#endif
