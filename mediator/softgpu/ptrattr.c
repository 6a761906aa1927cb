/* SPDX-License-Identifier: MIT */
/*
 * What a pointer is: cuPointerGetAttribute and its plural, which says 0 for what does not apply.
 */
#include <string.h>

#include "arena.h"
#include "ctx.h"
#include "device.h"
#include "hostmem.h"
#include "pool.h"
#include "vmm.h"

/* Everything known about one address. */
struct vg_pointer {
    uint64_t addr;
    bool device;                        /* in the arena; else registered host memory */
    uint64_t base, id;
    size_t size;
    struct vg_ctx *ctx;
    struct vg_block_info block;
    struct vg_vmm_info map;             /* of block.owner.kind VG_BLOCK_MAPPED */
};

static int pointer_find(CUdeviceptr addr, struct vg_pointer *p)
{
    struct vg_hostmem_info host;

    memset(p, 0, sizeof(*p));
    p->addr = addr;
    p->device = vg_arena_find(addr, &p->block) == 0 || vg_vmm_find(addr, &p->block, &p->map) == 0;
    if (!p->device && vg_hostmem_find(addr, &host) != 0)
        return -1;
    p->base = p->device ? p->block.base : host.base;
    p->size = p->device ? p->block.size : host.size;
    p->id = p->device ? p->block.id : host.id;
    p->ctx = p->device ? p->block.owner.ctx : host.ctx;
    return 0;
}

static size_t attribute_size(CUpointer_attribute attr)
{
    switch (attr) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
    case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
    case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
    case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
        return 8;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
        return 4;
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
    case CU_POINTER_ATTRIBUTE_MAPPED:
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
    case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
        return 1;
    default:
        return 0;
    }
}

static CUresult pointer_value(const struct vg_pointer *p, CUpointer_attribute attr, uint64_t *v)
{
    bool managed = p->device && p->block.owner.kind == VG_BLOCK_MANAGED;
    bool mapped = p->device && p->block.owner.kind == VG_BLOCK_MAPPED;

    *v = 0;
    switch (attr) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
        *v = p->ctx != NULL ? (uintptr_t)p->ctx->handle : 0;
        break;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
        *v = p->device ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
        break;
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
        *v = p->addr;
        break;
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
        if (p->device && !managed)
            return CUDA_ERROR_INVALID_VALUE;
        *v = p->addr;
        break;
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
    case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
        *v = p->id;
        break;
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
        *v = managed;
        break;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
        *v = p->device ? p->block.device : p->ctx != NULL ? (uint64_t)p->ctx->dev->ordinal : 0;
        break;
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
        *v = mapped ? p->map.reserved_base : p->base;
        break;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
        *v = mapped ? p->map.reserved_size : p->size;
        break;
    case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
        *v = p->base;
        break;
    case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
        *v = p->size;
        break;
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
        *v = mapped ? p->map.handle_types : 0;
        break;
    case CU_POINTER_ATTRIBUTE_MAPPED:
        *v = 1;
        break;
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
        *v = CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READWRITE;
        break;
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
        *v = p->device && p->block.owner.pool != NULL ? (uintptr_t)p->block.owner.pool->handle : 0;
        break;
    case CU_POINTER_ATTRIBUTE_P2P_TOKENS:
        return CUDA_ERROR_NOT_SUPPORTED;
    default:
        return attribute_size(attr) != 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

VG_ENTRY(cuPointerGetAttribute, (void *data, CUpointer_attribute attr, CUdeviceptr addr))
{
    struct vg_pointer p;
    struct vg_ctx *ctx;
    uint64_t value;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (data == NULL || pointer_find(addr, &p) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    rc = pointer_value(&p, attr, &value);
    if (rc == CUDA_SUCCESS)
        memcpy(data, &value, attribute_size(attr));
    return rc;
}

/* For memory the driver does not know: nothing of it applies, but the call succeeds. */
static uint64_t stranger_value(CUpointer_attribute attr)
{
    return attr == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL ? (uint32_t)CU_DEVICE_INVALID : 0;
}

VG_ENTRY(cuPointerGetAttributes,
         (unsigned n, CUpointer_attribute *attrs, void **data, CUdeviceptr addr))
{
    struct vg_pointer p;
    struct vg_ctx *ctx;
    uint64_t value;
    bool known;
    unsigned i;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (n == 0 || attrs == NULL || data == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    known = pointer_find(addr, &p) == 0;
    for (i = 0; i < n; i++) {
        if (attribute_size(attrs[i]) == 0 || data[i] == NULL)
            return CUDA_ERROR_INVALID_VALUE;
        if (!known || pointer_value(&p, attrs[i], &value) != CUDA_SUCCESS)
            value = known ? 0 : stranger_value(attrs[i]);
        memcpy(data[i], &value, attribute_size(attrs[i]));
    }
    return CUDA_SUCCESS;
}

/* The one attribute that can be set asks for what happens anyway. */
VG_ENTRY(cuPointerSetAttribute, (const void *value, CUpointer_attribute attr, CUdeviceptr addr))
{
    struct vg_pointer p;
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    return value != NULL && attr == CU_POINTER_ATTRIBUTE_SYNC_MEMOPS && pointer_find(addr, &p) == 0
               ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
