/* SPDX-License-Identifier: MIT */
/*
 * Modules, libraries, functions and kernels. A module is one decoded program in one context, its
 * variables bound to device memory. A library is an image that becomes a module in each context
 * that uses it; its kernels stand for the function of whatever context they are used in.
 *
 * One lock, the module lock, guards loading, unloading and lists. It is taken outside the engine's.
 */
#ifndef VG_SOFTGPU_MODULE_H
#define VG_SOFTGPU_MODULE_H

#include "api.h"
#include "image.h"
#include "ptx/ptx.h"

struct vg_ctx;
struct vg_library;
struct vg_module;

struct vg_func {
    CUfunction handle;
    struct vg_module *module;
    uint32_t index;
    const struct ptx_func_info *info;
    unsigned max_dynamic_shared;        /* cuFuncSetAttribute */
    int carveout;
    CUfunc_cache cache_config;
};

struct vg_module {
    CUmodule handle;
    struct vg_ctx *ctx;
    struct vg_module *next;             /* of the context */
    struct vg_library *library;         /* NULL when loaded by cuModule* */
    struct ptx_module *ptx;
    struct vg_func *funcs;              /* entries only */
    uint32_t nfuncs;
    uint64_t *globals;                  /* address of each variable */
    uint32_t nglobals;
};

struct vg_kernel {
    CUkernel handle;
    struct vg_library *library;
    const char *name;
    uint32_t index;                     /* in funcs of every module of the library */
    int max_dynamic_shared;             /* -1: not set by cuKernelSetAttribute */
    struct vg_func *last;               /* what it stood for last; NULL when that is gone */
};

struct vg_library {
    CUlibrary handle;
    struct vg_image image;
    struct vg_kernel *kernels;
    uint32_t nkernels;
    struct vg_module *proto;            /* decoded, bound to no context: says what is in it */
    uint64_t managed_at;                /* of its managed variables; 0: wherever each module is */
    bool managed_filled;                /* they have their initial contents */
};

/* The JIT options of a load: where messages go. */
struct vg_jit {
    unsigned n;
    const CUjit_option *options;
    void **values;
};

void vg_module_lock(void);
void vg_module_unlock(void);

/* Decodes image and makes it a module of ctx (NULL: only to look at). lib: whose it is, or NULL. */
CUresult vg_module_load(struct vg_ctx *ctx, const struct vg_image *image, const struct vg_jit *jit,
                        struct vg_library *lib, struct vg_module **ret);
/* Ends a module, its handles and variables. The context must be idle. */
void vg_module_free(struct vg_module *m);
void vg_module_end_ctx(struct vg_ctx *ctx);

struct vg_func *vg_module_func(const struct vg_module *m, const char *name);
/* Index of a variable, or -1. */
int vg_module_find_global(const struct vg_module *m, const char *name);
CUresult vg_module_global(const struct vg_module *m, const char *name, CUdeviceptr *ret_addr,
                          size_t *ret_size);

/* The function behind a CUfunction, or behind a CUkernel for ctx (loading its library there). */
CUresult vg_func_resolve(CUfunction handle, struct vg_ctx *ctx, struct vg_func **ret);

/* The module of a library in a context. */
CUresult vg_library_module(struct vg_library *lib, struct vg_ctx *ctx, struct vg_module **ret);

/* Bytes that the managed variables of a module take, laid out one behind the other. */
uint64_t vg_module_managed_bytes(const struct vg_module *m);

/* The value of an option, or NULL if it is not there. */
void **vg_jit_value(const struct vg_jit *jit, CUjit_option option);

/* Writes the log where a load's options ask for it. */
void vg_jit_report(const struct vg_jit *jit, const char *error_log);

CUresult vg_func_get_attribute(const struct vg_func *f, CUfunction_attribute attr, int *ret);
CUresult vg_func_set_attribute(struct vg_func *f, CUfunction_attribute attr, int value);

#endif
