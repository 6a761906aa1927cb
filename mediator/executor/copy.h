/* SPDX-License-Identifier: MIT */
/* What all copies do at their end (do_copy.c). Serve thread. */
#ifndef VG_COPY_H
#define VG_COPY_H

#include "mediator/executor/executor.h"

/* A copy with an answer is answered when it is complete; a captured one never runs here. */
CUresult vg_copy_answer(struct vg_exec *x, struct vg_req *r, CUresult rc, CUstream stream);

/* False, and a breach, if that is no staging index plus one, nor 0. */
bool vg_copy_stage_ok(struct vg_req *r, uint64_t stage);
/* The guest gets the chunk back when the stream has come here, or now if the copy failed (rc). */
void vg_copy_stage_end(struct vg_exec *x, CUstream stream, uint64_t stage, CUresult rc);

#endif
