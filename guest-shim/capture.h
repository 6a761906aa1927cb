/* SPDX-License-Identifier: MIT */
/* Stream capture, as far as other files need to know of it. */
#ifndef VG_SHIM_CAPTURE_H
#define VG_SHIM_CAPTURE_H

#include <stdbool.h>

#include "guest-shim/state.h"

/* False if no stream of this process is being captured: what is answered without asking. */
extern uint32_t vg_captures_under_way;
static inline bool vg_capture_possible(void)
{
    return vg_load_relaxed(&vg_captures_under_way) > 0;
}

/*
 * What CUDA forbids while streams are captured, by the modes of captures and thread: calls that a
 * program must not make without thinking ("unsafe"), and waiting for a whole context. CUDA_SUCCESS,
 * or the error; then the captures that forbade it have become invalid.
 */
CUresult vg_capture_check_unsafe(void);
CUresult vg_capture_check_sync(void);
static inline CUresult vg_capture_allows(void)
{
    return VG_LIKELY(!vg_capture_possible()) ? CUDA_SUCCESS : vg_capture_check_unsafe();
}

/* Whether the host captures the stream; makes a capture invalid, as asking for its stream does. */
bool vg_capture_has(uint64_t stream);
CUresult vg_capture_break(uint64_t stream);

/* A stream is destroyed, and with it its capture. */
void vg_capture_forget(uint64_t stream);

#endif
