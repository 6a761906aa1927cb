/* SPDX-License-Identifier: MIT */
/*
 * Bodies: virtual memory management. The driver knows addresses of other owners too
 * (its own pools reserve some), so every address is looked up in what this guest has
 * reserved or mapped before the driver sees it. Serve thread.
 */
#include "mediator/executor/args.h"

static bool reserved(struct vg_exec *x, uint64_t addr, uint64_t size)
{
    return size > 0 && addr <= UINT64_MAX - size &&
           vg_range_covers(&x->vmm.reserved, addr, size);
}

static bool is_mapped(const struct vg_range *n)
{
    return n && (n->kind == VG_RANGE_MAPPED || n->kind == VG_RANGE_CLOSED);
}

/* ---- Addresses ---- */

CUresult vg_do_cuMemAddressReserve(struct vg_exec *x, struct vg_req *r,
                                   struct vg_args_cuMemAddressReserve *a)
{
    struct vg_range n = {.size = a->size, .kind = VG_RANGE_ALLOC};
    CUresult rc = x->cuda.cuMemAddressReserve(&a->ptr, a->size, a->alignment, a->addr, a->flags);

    (void)r;
    if (rc != CUDA_SUCCESS)
        return rc;
    n.base = a->ptr;
    if (vg_range_add(&x->vmm.reserved, &n) == 0)
        return CUDA_SUCCESS;
    x->cuda.cuMemAddressFree(a->ptr, a->size);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

/* Forgets the mappings in [addr, addr+size); they lie in there whole. */
static void forget_mappings(struct vg_exec *x, uint64_t addr, uint64_t size)
{
    const struct vg_range *n;

    for (uint64_t at = addr; at - addr < size; at = vg_range_next(&x->ranges, at)) {
        n = vg_range_find(&x->ranges, at);
        if (!is_mapped(n))
            continue;
        vg_vmm_unmap(&x->vmm, n->phys);
        vg_range_remove(&x->ranges, n->base);
    }
    vg_shares_sweep(x);
    vg_own_account(x);
}

CUresult vg_do_cuMemAddressFree(struct vg_exec *x, struct vg_req *r,
                                struct vg_args_cuMemAddressFree *a)
{
    const struct vg_range *n = vg_range_find(&x->vmm.reserved, a->ptr);

    (void)r;
    if (!n || n->base != a->ptr || n->size != a->size)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = x->cuda.cuMemAddressFree(a->ptr, a->size);
    if (rc == CUDA_SUCCESS) {
        vg_range_remove(&x->vmm.reserved, a->ptr);
        forget_mappings(x, a->ptr, a->size);
    }
    return rc;
}

/* ---- Physical memory ---- */

/* Without what must not reach the driver: addresses of the guest, memory that it cannot map. */
static CUresult clean_prop(const CUmemAllocationProp *given, CUmemAllocationProp *ret_prop)
{
    if (!given)
        return CUDA_ERROR_INVALID_VALUE;
    *ret_prop = *given;
    ret_prop->win32HandleMetaData = NULL;
    if (given->requestedHandleTypes & ~(unsigned)CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
        return CUDA_ERROR_NOT_SUPPORTED;
    switch (given->location.type) {
    case CU_MEM_LOCATION_TYPE_HOST:
    case CU_MEM_LOCATION_TYPE_HOST_NUMA:
    case CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT:
        return CUDA_ERROR_NOT_SUPPORTED;
    default:
        return CUDA_SUCCESS;
    }
}

CUresult vg_do_cuMemGetAllocationGranularity(struct vg_exec *x, struct vg_req *r,
                                             struct vg_args_cuMemGetAllocationGranularity *a)
{
    CUmemAllocationProp prop;
    CUresult rc = clean_prop(a->prop, &prop);

    (void)r;
    return rc ? rc : x->cuda.cuMemGetAllocationGranularity(&a->granularity, &prop, a->option);
}

CUresult vg_vmm_keep(struct vg_exec *x, CUmemGenericAllocationHandle handle, uint64_t size)
{
    uint32_t index;
    CUresult rc = CUDA_ERROR_OUT_OF_MEMORY;

    if (vg_vmm_add(&x->vmm, size, &index)) {
        rc = vg_own_add(x, VG_OBJ_CUmemGenericAllocationHandle, handle, 0, index);
        if (rc != CUDA_SUCCESS)
            vg_vmm_unref(&x->vmm, index);
    }
    if (rc != CUDA_SUCCESS)
        x->cuda.cuMemRelease(handle);
    vg_own_account(x);
    return rc;
}

CUresult vg_do_cuMemCreate(struct vg_exec *x, struct vg_req *r, struct vg_args_cuMemCreate *a)
{
    CUmemAllocationProp prop;
    CUresult rc = clean_prop(a->prop, &prop);

    (void)r;
    if (rc == CUDA_SUCCESS)
        rc = vg_quota_reserve(x, a->size);
    if (rc == CUDA_SUCCESS)
        rc = x->cuda.cuMemCreate(&a->handle, a->size, &prop, a->flags);
    if (rc == CUDA_SUCCESS)
        rc = vg_vmm_keep(x, a->handle, a->size);
    vg_own_account(x);
    return rc;
}

CUresult vg_do_cuMemRelease(struct vg_exec *x, struct vg_req *r, struct vg_args_cuMemRelease *a)
{
    struct vg_obj *o = vg_obj_find(&x->obj, VG_OBJ_CUmemGenericAllocationHandle, a->handle);

    (void)r;
    if (!o)
        return CUDA_ERROR_INVALID_VALUE;
    uint32_t index = o->info;
    CUresult rc = x->cuda.cuMemRelease(a->handle);
    if (rc != CUDA_SUCCESS)
        return rc;
    if (x->vmm.phys[index].refs == 1)
        vg_obj_remove(&x->obj, VG_OBJ_CUmemGenericAllocationHandle, a->handle);
    vg_vmm_unref(&x->vmm, index);
    vg_shares_sweep(x);
    vg_own_account(x);
    return CUDA_SUCCESS;
}

/*
 * The driver answers with the handle that the memory was made with, as far as that
 * has not been released. Then, or should it give another, the handle is a new one.
 */
static CUresult retain(struct vg_exec *x, uint32_t index, CUmemGenericAllocationHandle handle)
{
    struct vg_obj *o = vg_obj_find(&x->obj, VG_OBJ_CUmemGenericAllocationHandle, handle);
    CUresult rc = CUDA_SUCCESS;

    if (!o && x->vmm.phys[index].refs)
        return vg_vmm_keep(x, handle, 0);
    if (!o)
        rc = vg_own_add(x, VG_OBJ_CUmemGenericAllocationHandle, handle, 0, index);
    if (rc != CUDA_SUCCESS)
        x->cuda.cuMemRelease(handle);
    else
        x->vmm.phys[o ? o->info : index].refs++;
    return rc;
}

CUresult vg_do_cuMemRetainAllocationHandle(struct vg_exec *x, struct vg_req *r)
{
    uint64_t addr = vg_dec_word(&r->dec);
    CUmemGenericAllocationHandle handle = 0;

    if (!vg_req_decoded(r))
        return CUDA_ERROR_INVALID_VALUE;
    const struct vg_range *n = vg_range_find(&x->ranges, addr);
    if (!is_mapped(n))
        return CUDA_ERROR_INVALID_VALUE;
    uint32_t index = n->phys;
    CUresult rc = x->cuda.cuMemRetainAllocationHandle(&handle, (void *)(uintptr_t)addr);
    if (rc == CUDA_SUCCESS)
        rc = retain(x, index, handle);
    vg_enc_word(&r->enc, handle);
    return rc;
}

/* ---- Mappings ---- */

CUresult vg_do_cuMemMap(struct vg_exec *x, struct vg_req *r, struct vg_args_cuMemMap *a)
{
    struct vg_obj *o = vg_obj_find(&x->obj, VG_OBJ_CUmemGenericAllocationHandle, a->handle);

    (void)r;
    if (!o || !reserved(x, a->ptr, a->size))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = x->cuda.cuMemMap(a->ptr, a->size, a->offset, a->handle, a->flags);
    if (rc != CUDA_SUCCESS)
        return rc;
    struct vg_range n = {
        .base = a->ptr, .size = a->size, .kind = VG_RANGE_CLOSED, .phys = o->info};
    if (vg_range_add(&x->ranges, &n) < 0) {
        x->cuda.cuMemUnmap(a->ptr, a->size);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    x->vmm.phys[o->info].maps++;
    return CUDA_SUCCESS;
}

/* Nothing in [addr, addr+size) but whole mappings; gaps are for the driver to judge. */
static bool only_mappings(struct vg_exec *x, uint64_t addr, uint64_t size)
{
    if (!reserved(x, addr, size))
        return false;
    for (uint64_t at = addr; at - addr < size; at = vg_range_next(&x->ranges, at)) {
        const struct vg_range *n = vg_range_find(&x->ranges, at);
        if (n && (!is_mapped(n) || n->base < addr || n->base + n->size > addr + size))
            return false;
    }
    return true;
}

CUresult vg_do_cuMemUnmap(struct vg_exec *x, struct vg_req *r, struct vg_args_cuMemUnmap *a)
{
    (void)r;
    if (!only_mappings(x, a->ptr, a->size))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult rc = x->cuda.cuMemUnmap(a->ptr, a->size);
    if (rc == CUDA_SUCCESS)
        forget_mappings(x, a->ptr, a->size);
    return rc;
}

static bool only_devices(const CUmemAccessDesc *desc, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (desc[i].location.type != CU_MEM_LOCATION_TYPE_DEVICE)
            return false;
    return true;
}

/* Devices that the list does not name keep the access they have. */
static bool opens(const CUmemAccessDesc *desc, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (desc[i].flags != CU_MEM_ACCESS_FLAGS_PROT_NONE)
            return true;
    return false;
}

/* Whether no device has access any more. */
static bool is_closed(struct vg_exec *x, CUdeviceptr ptr)
{
    unsigned long long flags = 0;
    int count = 0;

    x->cuda.cuDeviceGetCount(&count);
    for (int i = 0; i < count; i++) {
        CUmemLocation at = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = i};
        if (x->cuda.cuMemGetAccess(&flags, &at, ptr) == CUDA_SUCCESS && flags)
            return false;
    }
    return true;
}

static void close_mappings(struct vg_exec *x, uint64_t addr, uint64_t size)
{
    for (uint64_t at = addr; at - addr < size; at = vg_range_next(&x->ranges, at)) {
        const struct vg_range *n = vg_range_find(&x->ranges, at);
        if (is_mapped(n) && is_closed(x, n->base))
            vg_range_set_mapped(&x->ranges, n->base, n->size, VG_RANGE_CLOSED);
    }
}

CUresult vg_do_cuMemSetAccess(struct vg_exec *x, struct vg_req *r, struct vg_args_cuMemSetAccess *a)
{
    (void)r;
    if (!a->desc || !only_mappings(x, a->ptr, a->size))
        return CUDA_ERROR_INVALID_VALUE;
    if (!only_devices(a->desc, a->count))
        return CUDA_ERROR_NOT_SUPPORTED;
    CUresult rc = x->cuda.cuMemSetAccess(a->ptr, a->size, a->desc, a->count);
    if (rc != CUDA_SUCCESS)
        return rc;
    if (opens(a->desc, a->count))
        vg_range_set_mapped(&x->ranges, a->ptr, a->size, VG_RANGE_MAPPED);
    else
        close_mappings(x, a->ptr, a->size);
    return CUDA_SUCCESS;
}

CUresult vg_do_cuMemGetAccess(struct vg_exec *x, struct vg_req *r, struct vg_args_cuMemGetAccess *a)
{
    (void)r;
    if (!a->location || !is_mapped(vg_range_find(&x->ranges, a->ptr)))
        return CUDA_ERROR_INVALID_VALUE;
    return x->cuda.cuMemGetAccess(&a->flags, a->location, a->ptr);
}

/* ---- Multicast: the object counts nothing, the memory bound to it does ---- */

CUresult vg_do_cuMulticastCreate(struct vg_exec *x, struct vg_req *r,
                                 struct vg_args_cuMulticastCreate *a)
{
    (void)r;
    if (!a->prop)
        return CUDA_ERROR_INVALID_VALUE;
    if (a->prop->handleTypes & ~(unsigned long long)CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
        return CUDA_ERROR_NOT_SUPPORTED;
    CUresult rc = x->cuda.cuMulticastCreate(&a->mcHandle, a->prop);
    return rc ? rc : vg_vmm_keep(x, a->mcHandle, 0);
}
