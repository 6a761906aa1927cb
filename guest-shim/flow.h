/* SPDX-License-Identifier: MIT */
/*
 * How many launches and copies a stream may have outstanding: natively about a thousand, then the
 * launching thread waits, and no other. Here the host's one thread would wait in the driver, and
 * all threads of the process behind it; so the launching thread waits before that, in its own call.
 *
 * After each VG_FLOW_BLOCK launches to a stream a mark follows, which the host clears when the
 * stream has come there; before the next mark the thread waits for the last one. Any thread.
 */
#ifndef VG_SHIM_FLOW_H
#define VG_SHIM_FLOW_H

#include "guest-shim/state.h"

#define VG_FLOW_BLOCK   480u    /* launches; twice that is less than the driver holds */
#define VG_FLOW_GRAPH   8u      /* what the launch of a graph counts as */
#define VG_FLOW_STREAMS 32u     /* that are watched at a time; of others nothing is known */

struct vg_flow {
    uint64_t stream;        /* the host's, with the context in the upper bits */
    uint32_t launches;      /* since the last mark; threads of one stream may lose some */
};
extern struct vg_flow vg_flows[VG_FLOW_STREAMS];

static inline uint64_t vg_flow_key(uint64_t stream)
{
    return stream ^ (uint64_t)(uintptr_t)vg_tls.ctx << 16;
}

static inline struct vg_flow *vg_flow_of(uint64_t key)
{
    return &vg_flows[(key * 0x9e3779b97f4a7c15u) >> 59];
}

/* The stream's count is full, or it is another stream's. As vg_flow_gave. */
CUresult vg_flow_turn(struct vg_flow *f, uint64_t key, uint64_t stream);

/*
 * Something has been posted to the stream, in the current context, that counts as so many launches;
 * posted: what vg_post said. The ring is not held. That, or an error of an earlier call.
 */
static inline CUresult vg_flow_gave(uint64_t stream, unsigned launches, CUresult posted)
{
    uint64_t key = vg_flow_key(stream);
    struct vg_flow *f = vg_flow_of(key);
    uint32_t n = vg_load_relaxed(&f->launches) + launches;

    if (VG_UNLIKELY(posted))
        return posted;

    vg_store_relaxed(&f->launches, n);
    if (VG_UNLIKELY(n >= VG_FLOW_BLOCK || vg_load_relaxed(&f->stream) != key))
        return vg_flow_turn(f, key, stream);
    return CUDA_SUCCESS;
}

#endif
