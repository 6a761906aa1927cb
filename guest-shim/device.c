/* SPDX-License-Identifier: MIT */
/* Questions about devices, answered from what the host told at attach. Any thread. */
#include <stdio.h>
#include <string.h>

#include "guest-shim/fwd.h"
#include "guest-shim/state.h"
#include "vg_api.h"

/* The checks that all of them share: running, an output, a device. */
static CUresult query(const void *out, CUdevice dev, const struct vg_device_info **ret_device)
{
    CUresult r = vg_enter();

    if (r)
        return r;
    if (!out)
        return CUDA_ERROR_INVALID_VALUE;
    *ret_device = vg_device(dev);
    return *ret_device ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceGetCount(int *count)
{
    CUresult r = vg_enter();

    if (!r && !count)
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r)
        *count = (int)vg_process.snapshot->device_count;
    return r;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
    const struct vg_device_info *d;
    CUresult r = query(device, ordinal, &d);

    if (!r)
        *device = ordinal;
    return r;
}

CUresult cuDeviceGetName(char *name, int len, CUdevice dev)
{
    const struct vg_device_info *d;
    CUresult r = query(name, dev, &d);

    if (!r && len <= 0)
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r)
        snprintf(name, (size_t)len, "%.*s", (int)sizeof(d->name), d->name);
    return r;
}

CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice dev)
{
    const struct vg_device_info *d;
    CUresult r = query(uuid, dev, &d);

    if (!r)
        memcpy(uuid, d->uuid, sizeof(*uuid));
    return r;
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice dev)
{
    const struct vg_device_info *d;
    CUresult r = query(bytes, dev, &d);

    if (!r)
        *bytes = d->total_memory;
    return r;
}

CUresult cuDeviceGetAttribute(int *pi, CUdevice_attribute attrib, CUdevice dev)
{
    const struct vg_device_info *d;
    CUresult r = query(pi, dev, &d);

    if (!r && ((unsigned)attrib >= VG_ATTRS_MAX || !d->attr_known[attrib]))
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r)
        *pi = d->attr[attrib];
    return r;
}

CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice dev)
{
    CUresult r = cuDeviceGetAttribute(major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, dev);

    return r ? r : cuDeviceGetAttribute(minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, dev);
}

CUresult cuDeviceGetProperties(CUdevprop *prop, CUdevice dev)
{
    const struct vg_device_info *d;
    CUresult r = query(prop, dev, &d);

    if (r)
        return r;
    const int32_t *a = d->attr;
    *prop = (CUdevprop){
        .maxThreadsPerBlock = a[CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK],
        .maxThreadsDim = {a[CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X],
                          a[CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y],
                          a[CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z]},
        .maxGridSize = {a[CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X],
                        a[CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y],
                        a[CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z]},
        .sharedMemPerBlock = a[CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK],
        .totalConstantMemory = a[CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY],
        .SIMDWidth = a[CU_DEVICE_ATTRIBUTE_WARP_SIZE],
        .memPitch = a[CU_DEVICE_ATTRIBUTE_MAX_PITCH],
        .regsPerBlock = a[CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK],
        .clockRate = a[CU_DEVICE_ATTRIBUTE_CLOCK_RATE],
        .textureAlign = a[CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT],
    };
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetPCIBusId(char *pciBusId, int len, CUdevice dev)
{
    const struct vg_device_info *d;
    CUresult r = query(pciBusId, dev, &d);

    if (!r && len <= (int)strnlen(d->pci_bus_id, sizeof(d->pci_bus_id)))
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r)
        snprintf(pciBusId, (size_t)len, "%.*s", (int)sizeof(d->pci_bus_id), d->pci_bus_id);
    return r;
}

/* [domain:]bus:device[.function], hexadecimal. */
static bool parse_bus_id(const char *s, unsigned id[4])
{
    int n = 0;

    id[0] = id[3] = 0;
    if (sscanf(s, "%x:%x:%x.%x%n", &id[0], &id[1], &id[2], &id[3], &n) == 4 && s[n] == '\0')
        return true;
    n = 0;
    if (sscanf(s, "%x:%x:%x%n", &id[0], &id[1], &id[2], &n) == 3 && s[n] == '\0') {
        id[3] = 0;
        return true;
    }
    n = 0;
    id[0] = 0;
    return sscanf(s, "%x:%x.%x%n", &id[1], &id[2], &id[3], &n) == 3 && s[n] == '\0';
}

CUresult cuDeviceGetByPCIBusId(CUdevice *dev, const char *pciBusId)
{
    unsigned want[4], have[4];
    CUresult r = vg_enter();

    if (!r && (!dev || !pciBusId || !parse_bus_id(pciBusId, want)))
        r = CUDA_ERROR_INVALID_VALUE;
    if (r)
        return r;
    for (uint32_t i = 0; i < vg_process.snapshot->device_count; i++) {
        if (!parse_bus_id(vg_process.snapshot->device[i].pci_bus_id, have) ||
            memcmp(want, have, sizeof(want)) != 0)
            continue;
        *dev = (CUdevice)i;
        return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *pool_out, CUdevice dev)
{
    const struct vg_device_info *d;
    CUresult r = query(pool_out, dev, &d);

    if (!r && !d->default_pool)
        r = vg_unsupported("cuDeviceGetDefaultMemPool: the GPU has no memory pools");
    if (!r)
        *pool_out = (CUmemoryPool)(uintptr_t)d->default_pool;
    return r;
}

/* ---- peers: what the host's devices can do for each other; a device and itself are known -- */

static CUresult host_can(VG_PARAMS(cuDeviceCanAccessPeer)) VG_FWD_BODY(cuDeviceCanAccessPeer)
static CUresult host_enable(VG_PARAMS(cuCtxEnablePeerAccess)) VG_FWD_BODY(cuCtxEnablePeerAccess)
static CUresult host_disable(VG_PARAMS(cuCtxDisablePeerAccess)) VG_FWD_BODY(cuCtxDisablePeerAccess)
static CUresult host_p2p(VG_PARAMS(cuDeviceGetP2PAttribute)) VG_FWD_BODY(cuDeviceGetP2PAttribute)
static CUresult host_atomics(VG_PARAMS(cuDeviceGetP2PAtomicCapabilities))
VG_FWD_BODY(cuDeviceGetP2PAtomicCapabilities)

static CUresult query_pair(const void *out, CUdevice a, CUdevice b)
{
    const struct vg_device_info *d;
    CUresult r = query(out, a, &d);

    return r ? r : query(out, b, &d);
}

CUresult cuDeviceCanAccessPeer(int *canAccessPeer, CUdevice dev, CUdevice peerDev)
{
    CUresult r = query_pair(canAccessPeer, dev, peerDev);

    if (!r && dev != peerDev)
        return host_can(canAccessPeer, dev, peerDev);
    if (!r)
        *canAccessPeer = 0;
    return r;
}

CUresult cuDeviceGetP2PAttribute(int *value, CUdevice_P2PAttribute attrib, CUdevice srcDevice,
                                 CUdevice dstDevice)
{
    CUresult r = query_pair(value, srcDevice, dstDevice);

    if (!r && srcDevice == dstDevice)
        r = CUDA_ERROR_INVALID_DEVICE;
    if (!r && (attrib < CU_DEVICE_P2P_ATTRIBUTE_PERFORMANCE_RANK ||
               attrib > CU_DEVICE_P2P_ATTRIBUTE_ONLY_PARTIAL_NATIVE_ATOMIC_SUPPORTED))
        r = CUDA_ERROR_INVALID_VALUE;
    return r ? r : host_p2p(value, attrib, srcDevice, dstDevice);
}

CUresult cuDeviceGetP2PAtomicCapabilities(unsigned *capabilities,
                                          const CUatomicOperation *operations, unsigned count,
                                          CUdevice srcDevice, CUdevice dstDevice)
{
    CUresult r = query_pair(capabilities, srcDevice, dstDevice);

    if (!r && (!operations || !count))
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r && srcDevice == dstDevice)
        r = CUDA_ERROR_INVALID_DEVICE;
    return r ? r : host_atomics(capabilities, operations, count, srcDevice, dstDevice);
}

CUresult cuCtxEnablePeerAccess(CUcontext peerContext, unsigned Flags)
{
    CUresult r = vg_enter_ctx();

    struct vg_ctx *peer = r ? NULL : vg_ctx_find(peerContext);
    if (!r && !peer)
        r = CUDA_ERROR_INVALID_CONTEXT;
    if (!r && Flags)
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r && peer->dev == vg_ctx_current()->dev)
        r = CUDA_ERROR_PEER_ACCESS_UNSUPPORTED;
    return r ? r : host_enable(peerContext, Flags);
}

CUresult cuCtxDisablePeerAccess(CUcontext peerContext)
{
    CUresult r = vg_enter_ctx();

    struct vg_ctx *peer = r ? NULL : vg_ctx_find(peerContext);
    if (!r && !peer)
        r = CUDA_ERROR_INVALID_CONTEXT;
    if (!r && peer->dev == vg_ctx_current()->dev)
        r = CUDA_ERROR_PEER_ACCESS_NOT_ENABLED;
    return r ? r : host_disable(peerContext);
}

/* No other device writes to the GPU's memory from within a VM, as the attributes say. */
CUresult cuFlushGPUDirectRDMAWrites(CUflushGPUDirectRDMAWritesTarget target,
                                    CUflushGPUDirectRDMAWritesScope scope)
{
    CUresult r = vg_enter_ctx();

    if (!r && (target != CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TARGET_CURRENT_CTX ||
               (scope != CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TO_OWNER &&
                scope != CU_FLUSH_GPU_DIRECT_RDMA_WRITES_TO_ALL_DEVICES)))
        r = CUDA_ERROR_INVALID_VALUE;
    return r ? r : vg_unsupported("cuFlushGPUDirectRDMAWrites");
}
