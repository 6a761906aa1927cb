/* SPDX-License-Identifier: MIT */
/* Launches outstanding; see flow.h. The marks are staging indexes that staging does not use. */
#include "guest-shim/flow.h"

#include <time.h>

#include "guest-shim/call.h"
#include "guest-shim/capture.h"
#include "guest-shim/mem.h"
#include "vg_wire.h"

/* A program that fills a stream and lets it go only afterwards gets on, as far as the driver lets it. */
#define PATIENCE_S 2

struct vg_flow vg_flows[VG_FLOW_STREAMS];

typedef char vg_assert_flow_marks[VG_STAGE_CHUNKS + VG_FLOW_STREAMS <= VG_STAGES ? 1 : -1];
typedef char vg_assert_flow_hash[VG_FLOW_STREAMS == 1u << (64 - 59) ? 1 : -1];

static unsigned mark_of(const struct vg_flow *f)
{
    return VG_STAGE_CHUNKS + (unsigned)(f - vg_flows);
}

static uint32_t *word_of(const struct vg_flow *f)
{
    return &vg_process.slot->stage_busy[mark_of(f)];
}

static time_t now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return t.tv_sec;
}

/* Until the stream has come to its last mark. After an error nothing ever comes there. */
static void wait_for_mark(struct vg_flow *f)
{
    struct vg_backoff b = {0};
    time_t end = now_s() + PATIENCE_S;

    while (vg_load_acquire(word_of(f)) != 0)
        if (vg_sticky() || !vg_backoff_step(&b) || now_s() > end)
            return;
}

/* An error of an earlier call may come out of this one, as out of any. */
static CUresult post_mark(struct vg_flow *f, uint64_t stream)
{
    struct vg_tx tx;

    vg_store_release(word_of(f), 1);
    CUresult r = vg_begin(&tx, VG_CALL_MARK, 0);
    if (r) {
        vg_store_release(word_of(f), 0);
        return r;
    }
    tx.call->arg[0] = stream;
    tx.call->arg[1] = mark_of(f) + 1;
    return vg_post(&tx);
}

/* While the mark of the other stream is under way, this one goes unwatched. */
static void change_stream(struct vg_flow *f, uint64_t key)
{
    if (vg_load_acquire(word_of(f)) == 0)
        vg_store_relaxed(&f->stream, key);
    vg_store_relaxed(&f->launches, 1);
}

CUresult vg_flow_turn(struct vg_flow *f, uint64_t key, uint64_t stream)
{
    if (vg_load_relaxed(&f->stream) != key) {
        change_stream(f, key);
        return CUDA_SUCCESS;
    }
    vg_store_relaxed(&f->launches, 0);
    /* What is captured does not run, and a mark would become a part of it. */
    if (!(vg_process.slot->features & VG_HOST_MARKS_STREAMS) || vg_capture_possible())
        return CUDA_SUCCESS;
    wait_for_mark(f);
    return post_mark(f, stream);
}
