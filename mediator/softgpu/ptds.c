/* SPDX-License-Identifier: MIT */
/*
 * The _ptds and _ptsz forms: the same calls, with NULL meaning the thread's own stream.
 */
#include "api.h"
#include "stream.h"

/* Defines name ## suffix with the given parameters; it calls name with NULL meaning that stream. */
#define VG_OWN(name, suffix, params, args)                                                  \
    VG_ENTRY(name##suffix, params)                                                          \
    {                                                                                       \
        CUstream before = vg_stream_set_default(CU_STREAM_PER_THREAD);                      \
        CUresult rc = name args;                                                            \
                                                                                            \
        vg_stream_set_default(before);                                                      \
        return rc;                                                                          \
    }

VG_OWN(cuEventRecordWithFlags, _ptsz,
       (CUevent event, CUstream stream, unsigned flags),
       (event, stream, flags))
VG_OWN(cuEventRecord, _ptsz, (CUevent event, CUstream stream), (event, stream))
VG_OWN(cuGraphInstantiateWithParams, _ptsz,
       (CUgraphExec *exec, CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS *params),
       (exec, graph, params))
VG_OWN(cuGraphLaunch, _ptsz, (CUgraphExec exec, CUstream stream), (exec, stream))
VG_OWN(cuGraphUpload, _ptsz, (CUgraphExec exec, CUstream stream), (exec, stream))
VG_OWN(cuLaunchCooperativeKernel, _ptsz,
       (CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
        unsigned bz, unsigned shared, CUstream stream, void **params),
       (f, gx, gy, gz, bx, by, bz, shared, stream, params))
VG_OWN(cuLaunchHostFunc, _ptsz, (CUstream stream, CUhostFn fn, void *data), (stream, fn, data))
VG_OWN(cuLaunchKernelEx, _ptsz,
       (const CUlaunchConfig *c, CUfunction f, void **params, void **extra),
       (c, f, params, extra))
VG_OWN(cuLaunchKernel, _ptsz,
       (CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
        unsigned bz, unsigned shared, CUstream stream, void **params, void **extra),
       (f, gx, gy, gz, bx, by, bz, shared, stream, params, extra))
VG_OWN(cuMemAllocAsync, _ptsz,
       (CUdeviceptr *dptr, size_t size, CUstream stream),
       (dptr, size, stream))
VG_OWN(cuMemAllocFromPoolAsync, _ptsz,
       (CUdeviceptr *dptr, size_t size, CUmemoryPool pool, CUstream stream),
       (dptr, size, pool, stream))
VG_OWN(cuMemFreeAsync, _ptsz, (CUdeviceptr dptr, CUstream stream), (dptr, stream))
VG_OWN(cuMemPrefetchAsync_v2, _ptsz,
       (CUdeviceptr dptr, size_t size, CUmemLocation location, unsigned flags, CUstream stream),
       (dptr, size, location, flags, stream))
VG_OWN(cuMemcpy2DAsync_v2, _ptsz, (const CUDA_MEMCPY2D *p, CUstream stream), (p, stream))
VG_OWN(cuMemcpy2DUnaligned_v2, _ptds, (const CUDA_MEMCPY2D *p), (p))
VG_OWN(cuMemcpy2D_v2, _ptds, (const CUDA_MEMCPY2D *p), (p))
VG_OWN(cuMemcpy3DAsync_v2, _ptsz, (const CUDA_MEMCPY3D *p, CUstream stream), (p, stream))
VG_OWN(cuMemcpy3DPeerAsync, _ptsz, (const CUDA_MEMCPY3D_PEER *p, CUstream stream), (p, stream))
VG_OWN(cuMemcpy3DPeer, _ptds, (const CUDA_MEMCPY3D_PEER *p), (p))
VG_OWN(cuMemcpy3D_v2, _ptds, (const CUDA_MEMCPY3D *p), (p))
VG_OWN(cuMemcpyAsync, _ptsz,
       (CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream stream),
       (dst, src, n, stream))
VG_OWN(cuMemcpyDtoDAsync_v2, _ptsz,
       (CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream stream),
       (dst, src, n, stream))
VG_OWN(cuMemcpyDtoD_v2, _ptds, (CUdeviceptr dst, CUdeviceptr src, size_t n), (dst, src, n))
VG_OWN(cuMemcpyDtoHAsync_v2, _ptsz,
       (void *dst, CUdeviceptr src, size_t n, CUstream stream),
       (dst, src, n, stream))
VG_OWN(cuMemcpyDtoH_v2, _ptds, (void *dst, CUdeviceptr src, size_t n), (dst, src, n))
VG_OWN(cuMemcpyHtoDAsync_v2, _ptsz,
       (CUdeviceptr dst, const void *src, size_t n, CUstream stream),
       (dst, src, n, stream))
VG_OWN(cuMemcpyHtoD_v2, _ptds, (CUdeviceptr dst, const void *src, size_t n), (dst, src, n))
VG_OWN(cuMemcpyPeerAsync, _ptsz,
       (CUdeviceptr dst, CUcontext dst_ctx, CUdeviceptr src, CUcontext src_ctx, size_t n,
        CUstream stream),
       (dst, dst_ctx, src, src_ctx, n, stream))
VG_OWN(cuMemcpyPeer, _ptds,
       (CUdeviceptr dst, CUcontext dst_ctx, CUdeviceptr src, CUcontext src_ctx, size_t n),
       (dst, dst_ctx, src, src_ctx, n))
VG_OWN(cuMemcpy, _ptds, (CUdeviceptr dst, CUdeviceptr src, size_t n), (dst, src, n))
VG_OWN(cuMemsetD16Async, _ptsz,
       (CUdeviceptr dst, unsigned short value, size_t n, CUstream stream),
       (dst, value, n, stream))
VG_OWN(cuMemsetD16_v2, _ptds, (CUdeviceptr dst, unsigned short value, size_t n), (dst, value, n))
VG_OWN(cuMemsetD2D16Async, _ptsz,
       (CUdeviceptr dst, size_t pitch, unsigned short value, size_t width, size_t height,
        CUstream stream),
       (dst, pitch, value, width, height, stream))
VG_OWN(cuMemsetD2D16_v2, _ptds,
       (CUdeviceptr dst, size_t pitch, unsigned short value, size_t width, size_t height),
       (dst, pitch, value, width, height))
VG_OWN(cuMemsetD2D32Async, _ptsz,
       (CUdeviceptr dst, size_t pitch, unsigned value, size_t width, size_t height,
        CUstream stream),
       (dst, pitch, value, width, height, stream))
VG_OWN(cuMemsetD2D32_v2, _ptds,
       (CUdeviceptr dst, size_t pitch, unsigned value, size_t width, size_t height),
       (dst, pitch, value, width, height))
VG_OWN(cuMemsetD2D8Async, _ptsz,
       (CUdeviceptr dst, size_t pitch, unsigned char value, size_t width, size_t height,
        CUstream stream),
       (dst, pitch, value, width, height, stream))
VG_OWN(cuMemsetD2D8_v2, _ptds,
       (CUdeviceptr dst, size_t pitch, unsigned char value, size_t width, size_t height),
       (dst, pitch, value, width, height))
VG_OWN(cuMemsetD32Async, _ptsz,
       (CUdeviceptr dst, unsigned value, size_t n, CUstream stream),
       (dst, value, n, stream))
VG_OWN(cuMemsetD32_v2, _ptds, (CUdeviceptr dst, unsigned value, size_t n), (dst, value, n))
VG_OWN(cuMemsetD8Async, _ptsz,
       (CUdeviceptr dst, unsigned char value, size_t n, CUstream stream),
       (dst, value, n, stream))
VG_OWN(cuMemsetD8_v2, _ptds, (CUdeviceptr dst, unsigned char value, size_t n), (dst, value, n))
VG_OWN(cuStreamAddCallback, _ptsz,
       (CUstream stream, CUstreamCallback callback, void *data, unsigned flags),
       (stream, callback, data, flags))
VG_OWN(cuStreamAttachMemAsync, _ptsz,
       (CUstream stream, CUdeviceptr dptr, size_t size, unsigned flags),
       (stream, dptr, size, flags))
VG_OWN(cuStreamBatchMemOp_v2, _ptsz,
       (CUstream stream, unsigned n, CUstreamBatchMemOpParams *list, unsigned flags),
       (stream, n, list, flags))
VG_OWN(cuStreamBeginCaptureToGraph, _ptsz,
       (CUstream stream, CUgraph graph, const CUgraphNode *deps, const CUgraphEdgeData *edges,
        size_t n, CUstreamCaptureMode mode),
       (stream, graph, deps, edges, n, mode))
VG_OWN(cuStreamBeginCapture, _ptsz, (CUstream stream), (stream))
VG_OWN(cuStreamBeginCapture_v2, _ptsz, (CUstream stream, CUstreamCaptureMode mode), (stream, mode))
VG_OWN(cuStreamCopyAttributes, _ptsz, (CUstream dst, CUstream src), (dst, src))
VG_OWN(cuStreamEndCapture, _ptsz, (CUstream stream, CUgraph *graph), (stream, graph))
VG_OWN(cuStreamGetAttribute, _ptsz,
       (CUstream stream, CUstreamAttrID attr, CUstreamAttrValue *value),
       (stream, attr, value))
VG_OWN(cuStreamGetCaptureInfo, _ptsz,
       (CUstream stream, CUstreamCaptureStatus *status, uint64_t *id),
       (stream, status, id))
VG_OWN(cuStreamGetCaptureInfo_v2, _ptsz,
       (CUstream stream, CUstreamCaptureStatus *status, uint64_t *id, CUgraph *graph,
        const CUgraphNode **deps, size_t *n),
       (stream, status, id, graph, deps, n))
VG_OWN(cuStreamGetCaptureInfo_v3, _ptsz,
       (CUstream stream, CUstreamCaptureStatus *status, uint64_t *id, CUgraph *graph,
        const CUgraphNode **deps, const CUgraphEdgeData **edges, size_t *n),
       (stream, status, id, graph, deps, edges, n))
VG_OWN(cuStreamGetCtx, _ptsz, (CUstream stream, CUcontext *ctx), (stream, ctx))
VG_OWN(cuStreamGetCtx_v2, _ptsz,
       (CUstream stream, CUcontext *ctx, CUgreenCtx *green),
       (stream, ctx, green))
VG_OWN(cuStreamGetDevice, _ptsz, (CUstream stream, CUdevice *dev), (stream, dev))
VG_OWN(cuStreamGetFlags, _ptsz, (CUstream stream, unsigned *flags), (stream, flags))
VG_OWN(cuStreamGetId, _ptsz, (CUstream stream, unsigned long long *id), (stream, id))
VG_OWN(cuStreamGetPriority, _ptsz, (CUstream stream, int *priority), (stream, priority))
VG_OWN(cuStreamIsCapturing, _ptsz,
       (CUstream stream, CUstreamCaptureStatus *status),
       (stream, status))
VG_OWN(cuStreamQuery, _ptsz, (CUstream stream), (stream))
VG_OWN(cuStreamSetAttribute, _ptsz,
       (CUstream stream, CUstreamAttrID attr, const CUstreamAttrValue *value),
       (stream, attr, value))
VG_OWN(cuStreamSynchronize, _ptsz, (CUstream stream), (stream))
VG_OWN(cuStreamUpdateCaptureDependencies, _ptsz,
       (CUstream stream, CUgraphNode *deps, size_t n, unsigned flags),
       (stream, deps, n, flags))
VG_OWN(cuStreamUpdateCaptureDependencies_v2, _ptsz,
       (CUstream stream, CUgraphNode *deps, const CUgraphEdgeData *edges, size_t n,
        unsigned flags),
       (stream, deps, edges, n, flags))
VG_OWN(cuStreamWaitEvent, _ptsz,
       (CUstream stream, CUevent event, unsigned flags),
       (stream, event, flags))
VG_OWN(cuStreamWaitValue32_v2, _ptsz,
       (CUstream stream, CUdeviceptr addr, uint32_t value, unsigned flags),
       (stream, addr, value, flags))
VG_OWN(cuStreamWaitValue64_v2, _ptsz,
       (CUstream stream, CUdeviceptr addr, uint64_t value, unsigned flags),
       (stream, addr, value, flags))
VG_OWN(cuStreamWriteValue32_v2, _ptsz,
       (CUstream stream, CUdeviceptr addr, uint32_t value, unsigned flags),
       (stream, addr, value, flags))
VG_OWN(cuStreamWriteValue64_v2, _ptsz,
       (CUstream stream, CUdeviceptr addr, uint64_t value, unsigned flags),
       (stream, addr, value, flags))
VG_OWN(cuStreamBatchMemOp, _ptsz,
       (CUstream stream, unsigned n, CUstreamBatchMemOpParams *list, unsigned flags),
       (stream, n, list, flags))
VG_OWN(cuStreamWaitValue32, _ptsz,
       (CUstream stream, CUdeviceptr addr, uint32_t value, unsigned flags),
       (stream, addr, value, flags))
VG_OWN(cuStreamWaitValue64, _ptsz,
       (CUstream stream, CUdeviceptr addr, uint64_t value, unsigned flags),
       (stream, addr, value, flags))
VG_OWN(cuStreamWriteValue32, _ptsz,
       (CUstream stream, CUdeviceptr addr, uint32_t value, unsigned flags),
       (stream, addr, value, flags))
VG_OWN(cuStreamWriteValue64, _ptsz,
       (CUstream stream, CUdeviceptr addr, uint64_t value, unsigned flags),
       (stream, addr, value, flags))
