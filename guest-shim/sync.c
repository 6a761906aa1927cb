/* SPDX-License-Identifier: MIT */
/*
 * Waiting for the GPU; see call.h. A program that has just got its bytes from a stream
 * waits for that stream once more (every .item() of PyTorch does): if no thread has sent
 * anything since, the host could only say that there is nothing to wait for.
 */
#include "guest-shim/call.h"
#include "guest-shim/call_private.h"
#include "guest-shim/capture.h"
#include "guest-shim/state.h"
#include "vg_atomic.h"

/* What the thread's latest wait found idle, and when. `what` 0: nothing. */
static __thread struct {
    unsigned what;          /* enum vg_sync_kind + 1 */
    uint32_t seq;           /* of the record that was the latest one then */
    uint64_t handle;
    const struct vg_ctx *ctx;
} idle __attribute__((tls_model("initial-exec")));

static void found_idle(unsigned kind, uint64_t handle, const struct vg_tx *tx)
{
    idle.what = vg_capture_possible() ? 0 : kind + 1;   /* what is captured waits for nothing */
    idle.seq = tx->seq;
    idle.handle = handle;
    idle.ctx = vg_tls.ctx;
}

void vg_sync_found_idle(uint64_t stream, const struct vg_tx *tx)
{
    found_idle(VG_SYNC_STREAM, stream, tx);
}

/*
 * Used up by the question: of two waits in a row one asks the host, so whoever does
 * nothing else still learns of a fault elsewhere. Destroying the stream or the context
 * is a record too.
 */
static bool is_idle(unsigned kind, uint64_t handle)
{
    bool known = idle.what == kind + 1 && idle.handle == handle && idle.ctx == vg_tls.ctx &&
                 idle.seq == vg_call_latest() && !vg_capture_possible();

    idle.what = 0;
    return known;
}

CUresult vg_sync(unsigned kind, uint64_t handle)
{
    struct vg_tx tx;
    CUresult r;

    if (is_idle(kind, handle)) {
        r = vg_call_errors(VG_CALL_SYNC);
    } else {
        r = vg_begin_reply(&tx, VG_CALL_SYNC, 0);
        if (!r) {
            tx.call->arg[0] = kind;
            tx.call->arg[1] = handle;
            r = vg_finish(&tx, NULL);
        }
        if (!r && kind != VG_SYNC_EVENT)
            found_idle(kind, handle, &tx);
    }
    vg_console_drain();
    return r;
}
