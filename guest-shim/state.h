/* SPDX-License-Identifier: MIT */
/*
 * What the shim knows about its process, its threads and its contexts.
 *
 * Contexts, streams and events carry the host's handles: what the application
 * holds is what the host's driver returned. struct vg_ctx is our note about one.
 */
#ifndef VG_SHIM_STATE_H
#define VG_SHIM_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vg_atomic.h"
#include "vg_cuda.h"
#include "vg_region.h"

#define VG_LIKELY(x)   __builtin_expect(!!(x), 1)
#define VG_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* ---- process ----------------------------------------------------------------- */

enum vg_phase {
    VG_PHASE_NEW = 0,      /* cuInit has not succeeded yet */
    VG_PHASE_RUNNING = 1,
    VG_PHASE_FORKED = 2,   /* child of a process that used CUDA: nothing works, as natively */
    VG_PHASE_EXITING = 3,  /* the library is being unloaded or the process ends */
};

struct vg_chan;

/* One per process. Written during cuInit, then constant but for `phase` and `lost`. */
struct vg_process {
    uint32_t phase;                 /* enum vg_phase */
    uint32_t lost;                  /* CUresult of every call once the executor is gone, else 0 */
    struct vg_chan *chan;
    uint8_t *base;                  /* the region, at the same address in the executor */
    struct vg_region_layout layout;
    unsigned slot_index;
    struct vg_slot *slot;
    struct vg_snapshot *snapshot;   /* what the host told about driver and devices */
    uint32_t pinned;                /* bit per part of the region that the GPU sees; atomic */
};

extern struct vg_process vg_process;

static inline uint32_t vg_phase(void)
{
    return vg_load_relaxed(&vg_process.phase);
}

/* First line of every entry point that needs an initialised driver. */
CUresult vg_not_running(void);      /* the error for the present phase */
static inline CUresult vg_enter(void)
{
    return VG_LIKELY(vg_phase() == VG_PHASE_RUNNING) ? CUDA_SUCCESS : vg_not_running();
}

/* The error of the device that no call of this process survives; 0: none. */
static inline CUresult vg_sticky(void)
{
    return (CUresult)vg_load_relaxed(&vg_process.slot->sticky_error);
}

/* Facts about device dev, or NULL if there is no such device. */
const struct vg_device_info *vg_device(CUdevice dev);

/* 0 silent, 1 errors (default), 2 life cycle, 3 every call that crosses. VGPU_LOG sets it. */
extern unsigned vg_log_level;
void vg_log(unsigned level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * CUDA_ERROR_NOT_SUPPORTED, and says at level 2 what is not: a symbol, and what about it
 * where other uses of it work. _once: only while *said, which starts as 0, is 0.
 */
CUresult vg_unsupported(const char *what);
CUresult vg_unsupported_once(uint32_t *said, const char *symbol);

/* ---- contexts ---------------------------------------------------------------- */

struct vg_cls;

/* Never freed: threads may hold destroyed contexts on their stacks. */
struct vg_ctx {
    CUcontext handle;
    CUdevice dev;
    uint32_t flags;                 /* CU_CTX_* */
    bool primary;
    uint32_t users;                 /* cuCtxAttach and the creation; atomic */
    CUgreenCtx green;               /* what it is the context form of, or NULL */
    bool dead;                      /* destroyed or reset; calls on it fail. Atomic. */
    uint64_t epoch;                 /* times it has ended: a primary context comes back to life */
    struct vg_cls *cls;             /* context-local storage of the private tables */
    size_t limit[CU_LIMIT_MAX];     /* cache of cuCtxGetLimit, per CUlimit */
    uint32_t limit_known;           /* bit per CUlimit */
    struct vg_ctx *next;            /* all contexts */
};

static inline bool vg_ctx_alive(const struct vg_ctx *ctx)
{
    return !vg_load_acquire(&ctx->dead);
}

struct vg_ctx *vg_ctx_find(CUcontext handle);   /* NULL: not ours, or dead */

/*
 * fn runs after a context's resources have gone on the host (destroy, reset, last
 * release): forget what belonged to it. It must not call CUDA. Register from a
 * constructor; no unregister.
 */
void vg_ctx_on_end(void (*fn)(struct vg_ctx *ctx));

/* ---- threads ----------------------------------------------------------------- */

struct vg_thread;                   /* context stack, default streams; ctx.c, stream.c */

struct vg_tls {
    struct vg_ctx *ctx;             /* current context or NULL */
    struct vg_thread *more;         /* NULL until needed; freed when the thread ends */
    CUstreamCaptureMode capture_mode;
    bool in_callback;               /* runs the application's host functions, which must not call */
};
extern __thread struct vg_tls vg_tls __attribute__((tls_model("initial-exec")));

/* Entry points that act on the current context begin with this. */
CUresult vg_no_ctx(void);
static inline CUresult vg_enter_ctx(void)
{
    struct vg_ctx *ctx = vg_tls.ctx;

    if (VG_LIKELY(vg_phase() == VG_PHASE_RUNNING && ctx && vg_ctx_alive(ctx)))
        return CUDA_SUCCESS;
    return vg_no_ctx();
}

/* The current context of the thread; only after vg_enter_ctx succeeded. */
static inline struct vg_ctx *vg_ctx_current(void)
{
    return vg_tls.ctx;
}

/* ---- streams ----------------------------------------------------------------- */

/*
 * What to send as a stream: 0 for the legacy default stream, the thread's own real
 * stream for CU_STREAM_PER_THREAD (created at first use), else the handle itself. One that
 * the host has not accepted yet is asked about: a posted call must not fail for it.
 */
CUresult vg_stream_special(CUstream stream, uint64_t *ret_stream);
CUresult vg_stream_accepted(CUstream stream);
static inline CUresult vg_stream(CUstream stream, uint64_t *ret_stream)
{
    if (VG_UNLIKELY((uintptr_t)stream - 1 < 2))
        return vg_stream_special(stream, ret_stream);
    *ret_stream = (uintptr_t)stream;
    return stream ? vg_stream_accepted(stream) : CUDA_SUCCESS;
}

/*
 * First line of entry points that act on a stream: a special one is the current
 * context's, any other brings its own, and the host's driver judges the rest.
 */
static inline CUresult vg_enter_stream(CUstream stream)
{
    return (uintptr_t)stream <= 2 ? vg_enter_ctx() : vg_enter();
}

/* ---- the data window --------------------------------------------------------- */

/*
 * Shared memory for bulk data, in whole extents (VG_EXTENT_SIZE). vg_window_get
 * gives at least min and at most want bytes (it halves while there is no run so
 * long), or NULL. The same address is valid in the executor; calls name it by
 * vg_window_off. Any thread.
 */
void *vg_window_get(size_t want, size_t min, size_t *ret_bytes);
void vg_window_put(void *p, size_t bytes);

/*
 * Has the GPU see memory of the window, so that it copies from there without a detour and kernels
 * reach it. In a context; waits for the host when a part of the region is used for the first
 * time. No failure where the host's GPU cannot: then it does not see it afterwards.
 */
CUresult vg_window_pin(const void *p, size_t bytes) __attribute__((warn_unused_result));
bool vg_window_is_seen(const void *p, size_t bytes);

static inline uint64_t vg_window_off(const void *p)
{
    return (uint64_t)((const uint8_t *)p - vg_process.base);
}
static inline bool vg_window_has(const void *p, size_t bytes)
{
    uintptr_t a = (uintptr_t)p, b = (uintptr_t)vg_process.base;

    return a >= b && vg_region_data_ok(&vg_process.layout, a - b, bytes);
}

#endif
