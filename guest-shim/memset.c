/* SPDX-License-Identifier: MIT */
/*
 * Memsets: posted, after the checks that a driver makes at the call. The plain ones
 * wait only where CUDA says so, for host memory.
 */
#include "guest-shim/call.h"
#include "guest-shim/fwd.h"
#include "guest-shim/mem.h"
#include "guest-shim/state.h"
#include "vg_api.h"

#define SPACE (1ull << 48)  /* bytes; nothing is larger, so sums of two such do not overflow */

struct area {
    CUdeviceptr at;
    size_t pitch, height;   /* bytes, rows */
};

/* *ret_empty: nothing to do, whatever the address. */
static CUresult check(struct area a, size_t count, size_t unit, bool *ret_empty)
{
    CUresult r = vg_enter_ctx();

    *ret_empty = count == 0 || a.height == 0;
    if (r || *ret_empty)
        return r;
    if (count > SPACE / unit || a.at % unit != 0)
        return CUDA_ERROR_INVALID_VALUE;
    size_t width = count * unit, bytes = width;
    if (a.height > 1) {
        if (a.pitch < width || a.pitch % unit != 0 || a.height > SPACE / a.pitch)
            return CUDA_ERROR_INVALID_VALUE;
        bytes += a.pitch * (a.height - 1);
    }
    return vg_mem_on_gpu(a.at, bytes) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/*
 * The program may read host and managed memory as soon as a plain memset has returned, and wants to
 * read other memory behind CUDA's back then where it said so.
 */
static CUresult settle(CUdeviceptr at)
{
    struct vg_mem m;

    return vg_mem_find(at, &m) && (m.sync_memops || vg_mem_is(&m, VG_MEM_HOST | VG_MEM_SHARED))
               ? cuStreamSynchronize(NULL)
               : CUDA_SUCCESS;
}

#define LINE(count) ((struct area){.at = dstDevice, .height = 1}), count
#define RECT ((struct area){.at = dstDevice, .pitch = dstPitch, .height = Height}), Width

#define MEMSET(symbol, shape, unit, after)                                                         \
    static CUresult post_##symbol(VG_PARAMS(symbol)) VG_POST_BODY(symbol)                          \
    CUresult symbol(VG_PARAMS(symbol))                                                             \
    {                                                                                              \
        bool empty;                                                                                \
        CUresult r = check(shape, unit, &empty);                                                   \
        if (r || empty)                                                                            \
            return r;                                                                              \
        r = post_##symbol(VG_NAMES(symbol));                                                       \
        return r ? r : (after);                                                                    \
    }

MEMSET(cuMemsetD8_v2, LINE(N), 1, settle(dstDevice))
MEMSET(cuMemsetD16_v2, LINE(N), 2, settle(dstDevice))
MEMSET(cuMemsetD32_v2, LINE(N), 4, settle(dstDevice))
MEMSET(cuMemsetD2D8_v2, RECT, 1, settle(dstDevice))
MEMSET(cuMemsetD2D16_v2, RECT, 2, settle(dstDevice))
MEMSET(cuMemsetD2D32_v2, RECT, 4, settle(dstDevice))
MEMSET(cuMemsetD8Async, LINE(N), 1, CUDA_SUCCESS)
MEMSET(cuMemsetD16Async, LINE(N), 2, CUDA_SUCCESS)
MEMSET(cuMemsetD32Async, LINE(N), 4, CUDA_SUCCESS)
MEMSET(cuMemsetD2D8Async, RECT, 1, CUDA_SUCCESS)
MEMSET(cuMemsetD2D16Async, RECT, 2, CUDA_SUCCESS)
MEMSET(cuMemsetD2D32Async, RECT, 4, CUDA_SUCCESS)
