/* SPDX-License-Identifier: MIT */
/*
 * Contexts: each owns its streams, events, modules and memory, and its fault. The stack of current
 * contexts is per thread and holds handles, so a context destroyed elsewhere is noticed.
 */
#ifndef VG_SOFTGPU_CTX_H
#define VG_SOFTGPU_CTX_H

#include "api.h"

struct vg_array;
struct vg_device;
struct vg_event;
struct vg_mipmap;
struct vg_module;
struct vg_object;
struct vg_stream;

/* What may be asked for at creation; core dumps there are none. */
#define VG_CTX_FLAGS (CU_CTX_FLAGS_MASK & ~(CU_CTX_COREDUMP_ENABLE | CU_CTX_USER_COREDUMP_ENABLE))

#define VG_PRIORITY_GREATEST (-5)       /* of streams; the least is 0 */

struct vg_ctx {
    CUcontext handle;
    struct vg_device *dev;
    struct vg_ctx *next;                /* of all contexts: they are only ever added */
    uint64_t id;
    bool primary;
    bool alive;                         /* primary contexts rise again */
    unsigned retained;                  /* primary: cuDevicePrimaryCtxRetain calls */
    unsigned flags;
    CUresult error;                     /* the fault that every call returns from then on */
    int cancel;                         /* read by running kernels */
    size_t limit[CU_LIMIT_MAX];
    CUfunc_cache cache_config;
    CUsharedconfig shared_config;
    uint32_t peers;                     /* devices it has enabled access to, a bit each; atomic */
    /* Under the engine's lock: */
    unsigned pending;                   /* unfinished tasks */
    struct vg_stream *legacy;           /* the null stream */
    struct vg_stream *streams;          /* all, the null stream too */
    struct vg_event *events;
    struct vg_module *modules;          /* under the module lock, see module.h */
    uint64_t heap_used;                 /* malloc() of kernels */
    struct vg_array *arrays;            /* under a lock of array.c */
    struct vg_mipmap *mipmaps;          /* the same */
    struct vg_object *objects;          /* textures and surfaces; under a lock of texture.c */
};

/* An inactive primary context for a device, or NULL. */
struct vg_ctx *vg_ctx_new_primary(struct vg_device *dev);

/*
 * The start of almost every entry point: initialised, a current context, alive, without fault.
 * Otherwise the status to return.
 */
CUresult vg_ctx_enter(struct vg_ctx **ret);

/* The same without the check for a fault: for calls that only look at bookkeeping. */
CUresult vg_ctx_current(struct vg_ctx **ret);

/* The live context behind a handle; NULL means the current one. */
CUresult vg_ctx_from_handle(CUcontext handle, struct vg_ctx **ret);

CUresult vg_ctx_error(const struct vg_ctx *ctx);

struct vg_library;

/* Calls fn for every context that exists, alive or not. The module lock is held. */
void vg_ctx_for_each(void (*fn)(const struct vg_library *lib, struct vg_ctx *ctx),
                     const struct vg_library *lib);

/* Records a fault: the first one stays. Running kernels of the context are cancelled. */
void vg_ctx_fail(struct vg_ctx *ctx, CUresult error);

/* Waits until everything submitted to ctx so far is done. */
CUresult vg_ctx_synchronize(struct vg_ctx *ctx);

/* The same for every context that is alive: for host memory, which any of them may use. */
void vg_ctx_synchronize_all(void);

/* Whether any context but ctx has unfinished work. */
bool vg_ctx_others_busy(const struct vg_ctx *ctx);

#endif
