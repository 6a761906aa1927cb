/* SPDX-License-Identifier: MIT */
/*
 * Waits for and writes of values by a stream: single ones are posted, after the checks that a driver
 * makes at the call; cuStreamBatchMemOp sends a list as one block.
 */
#include "guest-shim/call.h"
#include "guest-shim/fwd.h"
#include "guest-shim/mem.h"
#include "guest-shim/state.h"
#include "vg_api.h"

#define OPS_MAX 256u    /* as CUDA allows */

static bool has_address(const CUstreamBatchMemOpParams *op)
{
    return op->operation == CU_STREAM_MEM_OP_WAIT_VALUE_32 ||
           op->operation == CU_STREAM_MEM_OP_WRITE_VALUE_32 ||
           op->operation == CU_STREAM_MEM_OP_WAIT_VALUE_64 ||
           op->operation == CU_STREAM_MEM_OP_WRITE_VALUE_64;
}

static CUresult check(const CUstreamBatchMemOpParams *op, unsigned count)
{
    if (!op || count > OPS_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < count; i++)
        if (has_address(&op[i]) && !vg_mem_on_gpu(op[i].waitValue.address, sizeof(uint32_t)))
            return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

CUresult cuStreamBatchMemOp_v2(CUstream stream, unsigned count,
                               CUstreamBatchMemOpParams *paramArray, unsigned flags)
{
    struct vg_tx tx;
    struct vg_enc e;
    uint64_t s;
    CUresult r = vg_enter_stream(stream);

    if (!r)
        r = check(paramArray, count);
    if (!r)
        r = vg_stream(stream, &s);
    if (!r && count == 0)
        return CUDA_SUCCESS;
    if (!r)
        r = vg_begin_reply(&tx, VG_CALL_cuStreamBatchMemOp_v2, count * sizeof(*paramArray));
    if (r)
        return r;
    vg_tx_encoder(&tx, &e);
    vg_enc_word(&e, s);
    vg_enc_word(&e, count);
    vg_enc_block(&e, paramArray, count * sizeof(*paramArray));
    vg_enc_word(&e, flags);
    if (!vg_tx_encoded(&tx, &e)) {
        vg_drop(&tx);
        return CUDA_ERROR_INVALID_VALUE;
    }
    return vg_finish(&tx, NULL);
}

/* ---- single ones ------------------------------------------------------------------ */

#define WAIT_FLAGS  (CU_STREAM_WAIT_VALUE_NOR | CU_STREAM_WAIT_VALUE_FLUSH)
#define WRITE_FLAGS CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER

static bool can_flush(void)
{
    const struct vg_device_info *d = vg_device(vg_tls.ctx ? vg_tls.ctx->dev : 0);

    return d->attr[CU_DEVICE_ATTRIBUTE_CAN_FLUSH_REMOTE_WRITES] != 0;
}

static CUresult check_one(CUdeviceptr addr, size_t unit, unsigned flags, unsigned allowed)
{
    CUresult r = vg_enter();

    if (!r && (addr % unit || !vg_mem_on_gpu(addr, unit) || flags & ~allowed))
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r && allowed & flags & CU_STREAM_WAIT_VALUE_FLUSH && !can_flush())
        r = CUDA_ERROR_NOT_SUPPORTED;
    return r;
}

#define ONE(symbol, unit, allowed)                                                                 \
    static CUresult post_##symbol(VG_PARAMS(symbol)) VG_POST_BODY(symbol)                          \
    CUresult symbol(VG_PARAMS(symbol))                                                             \
    {                                                                                              \
        CUresult r = check_one(addr, unit, flags, allowed);                                        \
        return r ? r : post_##symbol(VG_NAMES(symbol));                                            \
    }

ONE(cuStreamWaitValue32_v2, 4, WAIT_FLAGS)
ONE(cuStreamWaitValue64_v2, 8, WAIT_FLAGS)
ONE(cuStreamWriteValue32_v2, 4, WRITE_FLAGS)
ONE(cuStreamWriteValue64_v2, 8, WRITE_FLAGS)
