/* SPDX-License-Identifier: MIT */
/*
 * Misuse of copies and fills: bounds, directions, sizes, pitches.
 */
#include "groups.h"

static CUdeviceptr p, q;
static char buf[16384];
static void *pinned;
static CUstream s, dead;

static void begin(void)
{
    ask_start();
    p = ask_memory(4096);
    q = ask_memory(8192);
    SAY(cuMemHostAlloc(&pinned, 4096, 0));
    SAY(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    SAY(cuStreamCreate(&dead, CU_STREAM_NON_BLOCKING));
    SAY(cuStreamDestroy_v2(dead));
}

void linear_copies(void)
{
    begin();
    SAY(cuMemcpyHtoD_v2(p, buf, 4096));
    SAY(cuMemcpyHtoD_v2(p, buf, 4097));
    SAY(cuMemcpyHtoD_v2(p + 4095, buf, 2));
    SAY(cuMemcpyHtoD_v2(p + 4096, buf, 1));
    SAY(cuMemcpyHtoD_v2(p - 1, buf, 1));
    SAY(cuMemcpyHtoD_v2(p, buf, 0));
    SAY(cuMemcpyHtoD_v2(0, buf, 0));
    SAY(cuMemcpyHtoD_v2(p, NULL, 0));
    SAY(cuMemcpyHtoD_v2(0x1234, buf, 0));
    SAY(cuMemcpyHtoD_v2(0, buf, 4));
    SAY(cuMemcpyHtoD_v2(0x1234, buf, 4));
    SAY(cuMemcpyHtoD_v2(p, NULL, 4));
    SAY(cuMemcpyHtoD_v2(p, (void *)q, 16));
    SAY(cuMemcpyHtoD_v2((CUdeviceptr)buf, buf + 64, 16));
    SAY(cuMemcpyHtoD_v2(p, buf, SIZE_MAX));
    SAY(cuMemcpyDtoH_v2(buf, p, 4097));
    SAY(cuMemcpyDtoH_v2(buf, p + 4096, 1));
    SAY(cuMemcpyDtoH_v2(NULL, p, 4));
    SAY(cuMemcpyDtoH_v2(NULL, p, 0));
    SAY(cuMemcpyDtoH_v2(buf, 0, 4));
    SAY(cuMemcpyDtoH_v2(buf, 0, 0));
    SAY(cuMemcpyDtoH_v2((void *)q, p, 16));
    SAY(cuMemcpyDtoH_v2(buf, (CUdeviceptr)(buf + 64), 16));
    SAY(cuMemcpyDtoH_v2(buf, (CUdeviceptr)pinned, 16));
    SAY(cuMemcpyDtoH_v2((char *)pinned + 4000, p, 200));
    SAY(cuMemcpyDtoD_v2(p, q, 4096));
    SAY(cuMemcpyDtoD_v2(p, q, 4097));
    SAY(cuMemcpyDtoD_v2(p + 1, q, 4096));
    SAY(cuMemcpyDtoD_v2(p, q + 4097, 4096));
    SAY(cuMemcpyDtoD_v2(p, p + 8, 64));
    SAY(cuMemcpyDtoD_v2(p, p, 64));
    SAY(cuMemcpyDtoD_v2(0, p, 4));
    SAY(cuMemcpyDtoD_v2(p, 0, 4));
    SAY(cuMemcpyDtoD_v2(p, 0, 0));
    SAY(cuMemcpyDtoD_v2(0, 0, 0));
    SAY(cuMemcpyDtoD_v2(p, (CUdeviceptr)buf, 16));
    SAY(cuMemcpyDtoD_v2(p, (CUdeviceptr)pinned, 16));
    SAY(cuMemcpyDtoD_v2((CUdeviceptr)pinned, p, 16));
    SAY(cuMemcpyHtoDAsync_v2(p, buf, 4097, s));
    SAY(cuMemcpyHtoDAsync_v2(0x1234, buf, 16, s));
    SAY(cuMemcpyHtoDAsync_v2(p, NULL, 16, s));
    SAY(cuMemcpyDtoHAsync_v2(buf, p, 4097, s));
    SAY(cuMemcpyDtoHAsync_v2(NULL, p, 16, s));
    SAY(cuMemcpyDtoHAsync_v2(pinned, p, 4097, s));
    SAY(cuMemcpyDtoDAsync_v2(p, q, 4097, s));
    SAY(cuMemcpyDtoDAsync_v2(p, 0x1234, 16, s));
    SAY(cuStreamSynchronize(s));
    SAY(cuCtxSynchronize());
}

void any_copies(void)
{
    CUcontext ctx;

    begin();
    SAY(cuCtxGetCurrent(&ctx));
    SAY(cuMemcpy((CUdeviceptr)buf, (CUdeviceptr)(buf + 64), 16));
    SAY(cuMemcpy((CUdeviceptr)buf, p, 16));
    SAY(cuMemcpy(p, (CUdeviceptr)buf, 16));
    SAY(cuMemcpy(p, q, 4097));
    SAY(cuMemcpy(p, (CUdeviceptr)buf, 4097));
    SAY(cuMemcpy(0, p, 16));
    SAY(cuMemcpy(p, 0, 16));
    SAY(cuMemcpy(0, 0, 16));
    SAY(cuMemcpy(0, 0, 0));
    SAY(cuMemcpy((CUdeviceptr)pinned + 4090, p, 16));
    SAY(cuMemcpyAsync((CUdeviceptr)buf, p, 4097, s));
    SAY(cuMemcpyAsync((CUdeviceptr)buf, (CUdeviceptr)(buf + 64), 16, s));
    SAY(cuMemcpyAsync(0, p, 16, s));
    SAY(cuMemcpyPeer(p, ctx, q, ctx, 4096));
    SAY(cuMemcpyPeer(p, ctx, q, ctx, 4097));
    SAY(cuMemcpyPeer(p, NULL, q, ctx, 16));
    SAY(cuMemcpyPeer(p, ctx, q, NULL, 16));
    SAY(cuMemcpyPeer(p, ctx, 0, ctx, 16));
    SAY(cuMemcpyPeer(p, ctx, q, ctx, 0));
    SAY(cuMemcpyPeerAsync(p, ctx, q, ctx, 4097, s));
    SAY(cuMemcpyPeerAsync(p, NULL, q, NULL, 16, s));
    SAY(cuMemFree_v2(q));
    SAY(cuMemcpyDtoD_v2(p, q, 16));
    SAY(cuMemcpyDtoH_v2(buf, q, 16));
    SAY(cuMemcpyDtoHAsync_v2(buf, q, 16, s));
    SAY(cuCtxSynchronize());
}

void fills(void)
{
    begin();
    SAY(cuMemsetD8_v2(p, 1, 4096));
    SAY(cuMemsetD8_v2(p, 1, 4097));
    SAY(cuMemsetD8_v2(p, 1, 0));
    SAY(cuMemsetD8_v2(0, 1, 0));
    SAY(cuMemsetD8_v2(0, 1, 4));
    SAY(cuMemsetD8_v2(0x1234, 1, 4));
    SAY(cuMemsetD8_v2(p + 4096, 1, 1));
    SAY(cuMemsetD8_v2((CUdeviceptr)buf, 1, 16));
    SAY(cuMemsetD16_v2(p + 1, 1, 4));
    SAY(cuMemsetD16_v2(p, 1, 2049));
    SAY(cuMemsetD32_v2(p + 2, 1, 4));
    SAY(cuMemsetD32_v2(p, 1, 1025));
    SAY(cuMemsetD32_v2(p, 1, 0));
    SAY(cuMemsetD8Async(p, 1, 4097, s));
    SAY(cuMemsetD8Async(0, 1, 4, s));
    SAY(cuMemsetD16Async(p + 1, 1, 4, s));
    SAY(cuMemsetD32Async(p + 2, 1, 4, s));
    SAY(cuMemsetD2D8_v2(p, 64, 1, 64, 64));
    SAY(cuMemsetD2D8_v2(p, 64, 1, 65, 2));
    SAY(cuMemsetD2D8_v2(p, 64, 1, 64, 65));
    SAY(cuMemsetD2D8_v2(p, 0, 1, 64, 1));
    SAY(cuMemsetD2D8_v2(p, 0, 1, 64, 2));
    SAY(cuMemsetD2D8_v2(p, 64, 1, 0, 2));
    SAY(cuMemsetD2D8_v2(p, 64, 1, 64, 0));
    SAY(cuMemsetD2D8_v2(p, (size_t)1 << 40, 1, 64, 2));
    SAY(cuMemsetD2D16_v2(p, 63, 1, 8, 2));
    SAY(cuMemsetD2D32_v2(p, 66, 1, 8, 2));
    SAY(cuMemsetD2D32_v2(p, 64, 1, 17, 2));
    SAY(cuMemsetD2D8Async(p, 64, 1, 64, 65, s));
}

/* A good copy of 16 rows of 32 bytes, each 64 apart, from ordinary memory to p. */
static CUDA_MEMCPY2D plane(void)
{
    return (CUDA_MEMCPY2D){.srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = buf, .srcPitch = 64,
                           .dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = p, .dstPitch = 64,
                           .WidthInBytes = 32, .Height = 16};
}

/* PLANE(change): what the driver says to the good copy with one member changed. */
static CUresult plane_copied(CUDA_MEMCPY2D c)
{
    return cu.cuMemcpy2D_v2(&c);
}
#define PLANE(change) do { CUDA_MEMCPY2D c = plane(); c.change; ASK("plane, " #change, plane_copied(c)); } while (0)

void plane_copies(void)
{
    CUDA_MEMCPY2D good;

    begin();
    good = plane();
    SAY(cuMemcpy2D_v2(&good));
    SAY(cuMemcpy2D_v2(NULL));
    SAY(cuMemcpy2DUnaligned_v2(NULL));
    SAY(cuMemcpy2DAsync_v2(NULL, s));
    PLANE(WidthInBytes = 0);
    PLANE(Height = 0);
    PLANE(WidthInBytes = 65);
    PLANE(Height = 65);
    PLANE(Height = 63);
    PLANE(Height = SIZE_MAX);
    PLANE(srcPitch = 31);
    PLANE(dstPitch = 31);
    PLANE(srcPitch = 0);
    PLANE(dstPitch = 0);
    PLANE(dstPitch = (size_t)1 << 40);
    PLANE(srcXInBytes = 33);
    PLANE(dstXInBytes = 32);
    PLANE(dstXInBytes = 33);
    PLANE(dstY = 48);
    PLANE(dstY = 49);
    PLANE(srcMemoryType = (CUmemorytype)0);
    PLANE(srcMemoryType = (CUmemorytype)9);
    PLANE(dstMemoryType = (CUmemorytype)9);
    PLANE(srcMemoryType = CU_MEMORYTYPE_ARRAY);
    PLANE(dstMemoryType = CU_MEMORYTYPE_ARRAY);
    PLANE(srcHost = NULL);
    PLANE(dstDevice = 0);
    PLANE(dstDevice = 0x1234);
    PLANE(dstDevice = p + 2049);
    PLANE(dstDevice = (CUdeviceptr)buf);
    PLANE(srcMemoryType = CU_MEMORYTYPE_DEVICE);
    PLANE(srcMemoryType = CU_MEMORYTYPE_UNIFIED);
    PLANE(dstMemoryType = CU_MEMORYTYPE_UNIFIED);
    PLANE(dstMemoryType = CU_MEMORYTYPE_HOST);
    PLANE(srcHost = (void *)q);
    good.Height = 65;
    SAY(cuMemcpy2DUnaligned_v2(&good));
    SAY(cuMemcpy2DAsync_v2(&good, s));
    good.Height = 1;
    good.dstPitch = good.srcPitch = 0;
    SAY(cuMemcpy2D_v2(&good));
    SAY(cuCtxSynchronize());
}

/* A good copy of a box of 16 x 8 x 4 bytes within planes of 32 x 16. */
static CUDA_MEMCPY3D volume(void)
{
    return (CUDA_MEMCPY3D){.srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = buf, .srcPitch = 32,
                           .srcHeight = 16, .dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = p,
                           .dstPitch = 32, .dstHeight = 16, .WidthInBytes = 16, .Height = 8,
                           .Depth = 4};
}

static CUresult volume_copied(CUDA_MEMCPY3D c)
{
    return cu.cuMemcpy3D_v2(&c);
}
#define VOLUME(change) do { CUDA_MEMCPY3D c = volume(); c.change; ASK("volume, " #change, volume_copied(c)); } while (0)

static void peer_volumes(void)
{
    CUDA_MEMCPY3D_PEER peer = {.srcMemoryType = CU_MEMORYTYPE_HOST, .srcHost = buf,
                               .dstMemoryType = CU_MEMORYTYPE_DEVICE, .dstDevice = p,
                               .srcPitch = 32, .srcHeight = 16, .dstPitch = 32, .dstHeight = 16,
                               .WidthInBytes = 16, .Height = 8, .Depth = 4};

    SAY(cuMemcpy3DPeer(&peer));
    SAY(cuCtxGetCurrent(&peer.dstContext));
    SAY(cuMemcpy3DPeer(&peer));
    peer.srcContext = peer.dstContext;
    SAY(cuMemcpy3DPeer(&peer));
    peer.Depth = 9;
    SAY(cuMemcpy3DPeer(&peer));
    SAY(cuMemcpy3DPeerAsync(&peer, s));
}

void volume_copies(void)
{
    CUDA_MEMCPY3D good;

    begin();
    good = volume();
    SAY(cuMemcpy3D_v2(&good));
    SAY(cuMemcpy3D_v2(NULL));
    SAY(cuMemcpy3DAsync_v2(NULL, s));
    VOLUME(WidthInBytes = 0);
    VOLUME(Height = 0);
    VOLUME(Depth = 0);
    VOLUME(Depth = 8);
    VOLUME(Depth = 9);
    VOLUME(WidthInBytes = 33);
    VOLUME(Height = 17);
    VOLUME(srcPitch = 15);
    VOLUME(dstPitch = 15);
    VOLUME(srcHeight = 7);
    VOLUME(dstHeight = 7);
    VOLUME(srcHeight = 0);
    VOLUME(dstHeight = 0);
    VOLUME(srcPitch = 0);
    VOLUME(dstPitch = 0);
    VOLUME(dstXInBytes = 17);
    VOLUME(dstY = 9);
    VOLUME(dstZ = 4);
    VOLUME(dstZ = 5);
    VOLUME(srcLOD = 1);
    VOLUME(reserved0 = buf);
    VOLUME(reserved1 = buf);
    VOLUME(srcMemoryType = (CUmemorytype)0);
    VOLUME(srcMemoryType = CU_MEMORYTYPE_ARRAY);
    VOLUME(srcHost = NULL);
    VOLUME(dstDevice = 0);
    VOLUME(dstDevice = p + 3000);
    VOLUME(srcMemoryType = CU_MEMORYTYPE_UNIFIED);
    good.Depth = 9;
    SAY(cuMemcpy3DAsync_v2(&good, s));
    peer_volumes();
    SAY(cuStreamSynchronize(s));
    SAY(cuCtxSynchronize());
}
