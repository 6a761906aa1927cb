/* SPDX-License-Identifier: MIT */
/* What CUDA tells about an address. Answered from the range table; nothing crosses. */
#include <string.h>

#include "guest-shim/mem.h"
#include "guest-shim/state.h"
#include "guest-shim/vmm.h"
#include "vg_api.h"

/* Value and size of one attribute; size 0: this driver does not know the attribute. */
struct answer {
    uint64_t value;
    size_t size;
    bool absent;            /* the attribute means nothing for this memory */
};

static struct answer value_of(uint64_t value, size_t size)
{
    return (struct answer){.value = value, .size = size};
}

static struct answer absent(size_t size)
{
    return (struct answer){.size = size, .absent = true};
}

static bool gpu_reaches(const struct vg_mem *m)
{
    return vg_mem_is(m, VG_MEM_ON_GPU | VG_MEM_SHARED);
}

/* Of a mapped address these two tell about the reservation around the mapping. */
static struct answer range_of(CUpointer_attribute a, const struct vg_mem *m)
{
    CUdeviceptr base = m->base;
    size_t size = m->size;

    if (m->kind == VG_MEM_NONE)
        return absent(8);
    if (m->kind == VG_MEM_MAPPED)
        vg_vmm_reservation(m->base, &base, &size);
    return value_of(a == CU_POINTER_ATTRIBUTE_RANGE_START_ADDR ? base : size, 8);
}

static struct answer look_up(CUpointer_attribute a, uintptr_t p, const struct vg_mem *m)
{
    bool host = vg_mem_is(m, VG_MEM_HOST), known = m->kind != VG_MEM_NONE;

    switch (a) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
        return known ? value_of((uintptr_t)m->ctx, 8) : absent(8);
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
        return known ? value_of(host ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE, 4) : absent(4);
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
        return gpu_reaches(m) ? value_of(p, 8) : absent(8);
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
        return host || m->kind == VG_MEM_MANAGED ? value_of(p, 8) : absent(8);
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
        return known ? value_of(m->sync_memops, 4) : absent(4);
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
        return known ? value_of(m->id, 8) : absent(8);
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
        return known ? value_of(m->kind == VG_MEM_MANAGED, 4) : absent(4);
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
        return known ? value_of((uint32_t)m->dev, 4) : absent(4);
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
        return known ? value_of(m->kind == VG_MEM_DEVICE, 1) : absent(1);
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
        return range_of(a, m);
    case CU_POINTER_ATTRIBUTE_MAPPED:
        return known ? value_of(1, 1) : absent(1);
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
        return known ? value_of(m->handle_types, 8) : absent(8);
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
        return known ? value_of(0, 1) : absent(1);
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
        return gpu_reaches(m) ? value_of(CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READWRITE, 4) : absent(4);
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
        return m->kind == VG_MEM_POOLED || m->kind == VG_MEM_DEVICE ? value_of((uintptr_t)m->pool, 8)
                                                                    : absent(8);
    case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
        return known ? value_of(m->size, 8) : absent(8);
    case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
        return known ? value_of(m->base, 8) : absent(8);
    case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
        return known ? value_of(m->id, 8) : absent(8);
    case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
        return known ? value_of(0, 1) : absent(1);
    default:
        return value_of(0, 0);
    }
}

static struct vg_mem memory_at(CUdeviceptr ptr)
{
    struct vg_mem m = {.kind = VG_MEM_NONE, .dev = CU_DEVICE_INVALID};

    vg_mem_find(ptr, &m);
    /* The default pool is not written down with every allocation. */
    if (m.kind == VG_MEM_POOLED && !m.pool && vg_device(m.dev))
        m.pool = (CUmemoryPool)(uintptr_t)vg_device(m.dev)->default_pool;
    return m;
}

CUresult cuPointerGetAttribute(void *data, CUpointer_attribute attribute, CUdeviceptr ptr)
{
    CUresult r = vg_enter();

    if (r != CUDA_SUCCESS)
        return r;
    if (!data)
        return CUDA_ERROR_INVALID_VALUE;
    struct vg_mem m = memory_at(ptr);
    struct answer a = look_up(attribute, ptr, &m);
    if (a.size == 0)
        return attribute == CU_POINTER_ATTRIBUTE_P2P_TOKENS
                   ? vg_unsupported("cuPointerGetAttribute of CU_POINTER_ATTRIBUTE_P2P_TOKENS")
                   : CUDA_ERROR_INVALID_VALUE;
    if (a.absent)
        return CUDA_ERROR_INVALID_VALUE;
    memcpy(data, &a.value, a.size);     /* little-endian: the low bytes come first */
    return CUDA_SUCCESS;
}

/* Where an attribute means nothing the driver answers 0, a device of -2, and the host pointer itself. */
static uint64_t value_for_absent(CUpointer_attribute a, CUdeviceptr ptr, const struct vg_mem *m)
{
    if (m->kind != VG_MEM_NONE)
        return 0;
    if (a == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL)
        return (uint32_t)CU_DEVICE_INVALID;
    return a == CU_POINTER_ATTRIBUTE_HOST_POINTER ? ptr : 0;
}

CUresult cuPointerGetAttributes(unsigned numAttributes, CUpointer_attribute *attributes, void **data,
                                CUdeviceptr ptr)
{
    CUresult r = vg_enter();

    if (r != CUDA_SUCCESS)
        return r;
    if (numAttributes == 0 || !attributes || !data)
        return CUDA_ERROR_INVALID_VALUE;
    struct vg_mem m = memory_at(ptr);
    for (unsigned i = 0; i < numAttributes; i++) {
        struct answer a = look_up(attributes[i], ptr, &m);
        if (a.size == 0)
            return CUDA_ERROR_INVALID_VALUE;
        if (a.absent)
            a.value = value_for_absent(attributes[i], ptr, &m);
        if (data[i])
            memcpy(data[i], &a.value, a.size);
    }
    return CUDA_SUCCESS;
}

CUresult cuPointerSetAttribute(const void *value, CUpointer_attribute attribute, CUdeviceptr ptr)
{
    unsigned syncs;
    CUresult r = vg_enter();

    if (r != CUDA_SUCCESS)
        return r;
    if (!value || attribute != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS)
        return CUDA_ERROR_INVALID_VALUE;
    memcpy(&syncs, value, sizeof(syncs));
    return vg_mem_set_syncs(ptr, syncs != 0) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
