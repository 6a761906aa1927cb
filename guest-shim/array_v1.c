/* SPDX-License-Identifier: MIT */
/*
 * The array calls of CUDA 2 and 3, with sizes of 32 bits. Those that also take a device
 * address of 32 bits are not here: no GPU of today hands such addresses out. Any thread.
 */
#include "vg_api.h"

CUresult cuArrayCreate(CUarray *pHandle, const CUDA_ARRAY_DESCRIPTOR_v1 *pAllocateArray)
{
    CUDA_ARRAY_DESCRIPTOR d;

    if (!pAllocateArray)
        return cuArrayCreate_v2(pHandle, NULL);
    d = (CUDA_ARRAY_DESCRIPTOR){pAllocateArray->Width, pAllocateArray->Height,
                                pAllocateArray->Format, pAllocateArray->NumChannels};
    return cuArrayCreate_v2(pHandle, &d);
}

CUresult cuArray3DCreate(CUarray *pHandle, const CUDA_ARRAY3D_DESCRIPTOR_v1 *pAllocateArray)
{
    CUDA_ARRAY3D_DESCRIPTOR d;

    if (!pAllocateArray)
        return cuArray3DCreate_v2(pHandle, NULL);
    d = (CUDA_ARRAY3D_DESCRIPTOR){pAllocateArray->Width,  pAllocateArray->Height,
                                  pAllocateArray->Depth,  pAllocateArray->Format,
                                  pAllocateArray->NumChannels, pAllocateArray->Flags};
    return cuArray3DCreate_v2(pHandle, &d);
}

CUresult cuArrayGetDescriptor(CUDA_ARRAY_DESCRIPTOR_v1 *pArrayDescriptor, CUarray hArray)
{
    CUDA_ARRAY_DESCRIPTOR d;
    CUresult r = cuArrayGetDescriptor_v2(pArrayDescriptor ? &d : NULL, hArray);

    if (!r)
        *pArrayDescriptor = (CUDA_ARRAY_DESCRIPTOR_v1){(unsigned)d.Width, (unsigned)d.Height,
                                                       d.Format, d.NumChannels};
    return r;
}

CUresult cuArray3DGetDescriptor(CUDA_ARRAY3D_DESCRIPTOR_v1 *pArrayDescriptor, CUarray hArray)
{
    CUDA_ARRAY3D_DESCRIPTOR d;
    CUresult r = cuArray3DGetDescriptor_v2(pArrayDescriptor ? &d : NULL, hArray);

    if (!r)
        *pArrayDescriptor = (CUDA_ARRAY3D_DESCRIPTOR_v1){
            (unsigned)d.Width, (unsigned)d.Height, (unsigned)d.Depth,
            d.Format,          d.NumChannels,      d.Flags};
    return r;
}

CUresult cuMemcpyHtoA(CUarray dstArray, unsigned dstOffset, const void *srcHost, unsigned ByteCount)
{
    return cuMemcpyHtoA_v2(dstArray, dstOffset, srcHost, ByteCount);
}

CUresult cuMemcpyAtoH(void *dstHost, CUarray srcArray, unsigned srcOffset, unsigned ByteCount)
{
    return cuMemcpyAtoH_v2(dstHost, srcArray, srcOffset, ByteCount);
}

CUresult cuMemcpyAtoA(CUarray dstArray, unsigned dstOffset, CUarray srcArray, unsigned srcOffset,
                      unsigned ByteCount)
{
    return cuMemcpyAtoA_v2(dstArray, dstOffset, srcArray, srcOffset, ByteCount);
}

CUresult cuMemcpyHtoAAsync(CUarray dstArray, unsigned dstOffset, const void *srcHost,
                           unsigned ByteCount, CUstream hStream)
{
    return cuMemcpyHtoAAsync_v2(dstArray, dstOffset, srcHost, ByteCount, hStream);
}

CUresult cuMemcpyAtoHAsync(void *dstHost, CUarray srcArray, unsigned srcOffset, unsigned ByteCount,
                           CUstream hStream)
{
    return cuMemcpyAtoHAsync_v2(dstHost, srcArray, srcOffset, ByteCount, hStream);
}
