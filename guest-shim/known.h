/* SPDX-License-Identifier: MIT */
/*
 * Handles that the host has accepted under the current context: a posted call that names only
 * such cannot fail for a handle. Any other waits for the host's verdict once, so that an error
 * comes out of the call that natively returns it. Any thread, no lock.
 *
 * A memory, not a register: it may forget, and then a call waits once more. It never holds a
 * handle that was destroyed through this library, nor one of a context's former life, nor an event
 * that was used while a stream was captured: it may belong to that capture, and the host refuses it
 * elsewhere.
 */
#ifndef VG_SHIM_KNOWN_H
#define VG_SHIM_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-shim/state.h"
#include "vg_cuda.h"

/* An event's number must not pass for a stream's: the type is part of what is remembered. */
enum vg_known_kind {
    VG_KNOWN_OTHER, VG_KNOWN_STREAM, VG_KNOWN_EVENT, VG_KNOWN_EXEC,
    VG_KNOWN_HOME,      /* a stream under the context that it belongs to */
};
#define VG_KNOWN_KIND(type)                                                                        \
    (__builtin_types_compatible_p(type, CUstream) ? VG_KNOWN_STREAM                                \
     : __builtin_types_compatible_p(type, CUevent) ? VG_KNOWN_EVENT                                \
     : __builtin_types_compatible_p(type, CUgraphExec) ? VG_KNOWN_EXEC : VG_KNOWN_OTHER)

#define VG_KNOWN_WAYS 4u
#define VG_KNOWN_SETS 2048u
extern uint64_t vg_known_table[VG_KNOWN_SETS][VG_KNOWN_WAYS];

/* 48 bits of handle, 3 of kind; above them the context that was current (of one life of it). */
#define VG_KNOWN_CTX_SHIFT 51
static inline uint64_t vg_known_key(enum vg_known_kind kind, uint64_t handle)
{
    const struct vg_ctx *ctx = vg_tls.ctx;
    uint64_t under = ctx ? ((uintptr_t)ctx >> 4) * 0x9e37u + vg_load_relaxed(&ctx->epoch) + 1 : 0;

    return handle | (uint64_t)kind << 48 | under << VG_KNOWN_CTX_SHIFT;
}

static inline uint64_t *vg_known_set(uint64_t handle)
{
    return vg_known_table[handle * 0x9e3779b97f4a7c15u >> 53];
}

static inline bool vg_known(enum vg_known_kind kind, uint64_t handle)
{
    uint64_t key = vg_known_key(kind, handle);
    const uint64_t *set = vg_known_set(handle);

    for (unsigned i = 0; i < VG_KNOWN_WAYS; i++)
        if (vg_load_relaxed(&set[i]) == key)
            return true;
    return false;
}

void vg_known_add(enum vg_known_kind kind, uint64_t handle);

/* Before the call that destroys it. Under whichever context it was remembered. */
void vg_known_drop(enum vg_known_kind kind, uint64_t handle);

#endif
