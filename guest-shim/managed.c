/* SPDX-License-Identifier: MIT */
/* Managed memory, see managed.h. Nothing here crosses. Any thread. */
#include "guest-shim/managed.h"

#include <stdlib.h>
#include <string.h>

#include "guest-shim/call.h"
#include "guest-shim/lock.h"
#include "guest-shim/mem.h"
#include "guest-shim/state.h"
#include "vg_api.h"

#define NOWHERE CU_DEVICE_INVALID

/* ---- what programs have said about it ------------------------------------------- */

/* For each piece of GRAIN bytes; locations are device numbers, CU_DEVICE_CPU or NOWHERE. */
#define GRAIN ((size_t)64 << 10)

struct advice {
    int preferred, prefetched;
    uint32_t accessed;          /* bit per device; the CPU is the last */
    bool read_mostly;
};
#define CPU_BIT 31u

struct managed {
    struct managed *next;
    CUdeviceptr base;
    size_t pieces;
    struct advice advice[];
};

static struct vg_lock lock;     /* of the list and all in it */
static struct managed *list;

static bool note(CUdeviceptr base, size_t size)
{
    size_t pieces = (size + GRAIN - 1) / GRAIN;
    struct managed *m = malloc(sizeof(*m) + pieces * sizeof(m->advice[0]));

    if (!m)
        return false;
    m->base = base;
    m->pieces = pieces;
    for (size_t i = 0; i < pieces; i++)
        m->advice[i] = (struct advice){.preferred = NOWHERE, .prefetched = NOWHERE};
    vg_lock(&lock);
    m->next = list;
    list = m;
    vg_unlock(&lock);
    return true;
}

static void forget(CUdeviceptr base)
{
    vg_lock(&lock);
    struct managed **at = &list, *m;
    while (*at && (*at)->base != base)
        at = &(*at)->next;
    m = *at;
    if (m)
        *at = m->next;
    vg_unlock(&lock);
    free(m);
}

/* The pieces of [p, p+bytes), which lies in managed memory; the lock is held. NULL: freed. */
static struct advice *pieces_of(CUdeviceptr base, CUdeviceptr p, size_t bytes, size_t *ret_count)
{
    struct managed *m = list;

    while (m && m->base != base)
        m = m->next;
    if (!m)
        return NULL;
    size_t first = (p - base) / GRAIN, last = (p - base + bytes - 1) / GRAIN;
    *ret_count = last - first + 1;
    return &m->advice[first];
}

/* ---- allocation -------------------------------------------------------------------- */

/* Zeroed, because the extents may have been another process's. */
static CUresult allocate(size_t bytes, struct vg_mem *m)
{
    size_t got;
    void *p = bytes > VG_REGION_SIZE_MAX ? NULL : vg_window_get(bytes, bytes, &got);

    if (!p)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memset(p, 0, got);
    CUresult r = vg_window_pin(p, got);
    if (r == CUDA_SUCCESS && !vg_window_is_seen(p, got))
        r = vg_unsupported("managed memory: this host's GPU cannot see the shared region");
    if (r != CUDA_SUCCESS) {
        vg_window_put(p, got);
        return r;
    }
    m->base = (uintptr_t)p;
    m->size = bytes;
    m->span = got;
    m->off = vg_window_off(p);
    if (!note(m->base, bytes)) {
        vg_window_put(p, got);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    if (vg_mem_add(*m))
        return CUDA_SUCCESS;
    forget(m->base);
    vg_window_put(p, got);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuMemAllocManaged(CUdeviceptr *dptr, size_t bytesize, unsigned flags)
{
    CUresult r = vg_enter_ctx();

    if (r != CUDA_SUCCESS)
        return r;
    if (!dptr || bytesize == 0 ||
        (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST))
        return CUDA_ERROR_INVALID_VALUE;
    struct vg_ctx *ctx = vg_ctx_current();
    struct vg_mem m = {.kind = VG_MEM_MANAGED, .ctx = ctx->handle, .dev = ctx->dev,
                       .flags = flags};
    r = allocate(bytesize, &m);
    if (r == CUDA_SUCCESS)
        *dptr = m.base;
    else if (r == CUDA_ERROR_OUT_OF_MEMORY)
        vg_log(1, "no room for %zu bytes of managed memory in the shared region", bytesize);
    return r;
}

/* Of no context: they end with their library, and no call frees them. */
bool vg_managed_variables(void *at, size_t bytes)
{
    struct vg_mem m = {.kind = VG_MEM_MANAGED, .base = (uintptr_t)at, .size = bytes,
                       .off = vg_window_off(at), .flags = CU_MEM_ATTACH_GLOBAL};

    if (!note(m.base, bytes))
        return false;
    if (vg_mem_add(m))
        return true;
    forget(m.base);
    return false;
}

static void release(const struct vg_mem *m)
{
    forget(m->base);
    vg_window_put((void *)m->base, m->span);
}

void vg_managed_end_variables(void *at, size_t room)
{
    struct vg_mem m;

    if (vg_mem_take((uintptr_t)at, 1u << VG_MEM_MANAGED, &m))
        forget(m.base);
    vg_window_put(at, room);
}

bool vg_managed_free(CUdeviceptr dptr, CUresult *ret_result)
{
    struct vg_mem m;

    if (!vg_mem_find(dptr, &m) || m.kind != VG_MEM_MANAGED || m.base != dptr || !m.ctx)
        return false;
    *ret_result = vg_sync(VG_SYNC_CONTEXT, (uintptr_t)vg_ctx_current()->handle);
    if (vg_mem_take(dptr, 1u << VG_MEM_MANAGED, &m))
        release(&m);
    return true;
}

static void forget_context(struct vg_ctx *ctx)
{
    struct vg_mem m;

    while (vg_mem_take_of(ctx->handle, 1u << VG_MEM_MANAGED, &m))
        release(&m);
}

__attribute__((constructor)) static void managed_start(void)
{
    vg_ctx_on_end(forget_context);
}

/* ---- prefetching and advice ---------------------------------------------------------- */

/* What an entry point is about: [p, p+bytes) lies in one managed allocation. */
static CUresult enter_range(CUdeviceptr p, size_t bytes, struct vg_mem *m)
{
    CUresult r = vg_enter_ctx();

    if (r != CUDA_SUCCESS)
        return r;
    if (bytes == 0 || !vg_mem_find(p, m) || m->kind != VG_MEM_MANAGED ||
        bytes > m->base + m->size - p)
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

/* A location as a device number; false: there is no such place. */
static bool place_of(CUmemLocation at, int *ret_place)
{
    switch (at.type) {
    case CU_MEM_LOCATION_TYPE_DEVICE:
        *ret_place = at.id;
        return vg_device(at.id) != NULL;
    case CU_MEM_LOCATION_TYPE_HOST:
    case CU_MEM_LOCATION_TYPE_HOST_NUMA:
    case CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT:
        *ret_place = CU_DEVICE_CPU;
        return true;
    default:
        return false;
    }
}

static CUmemLocation location_of(CUdevice device)
{
    CUmemLocation at = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device};

    if (device == CU_DEVICE_CPU)
        at = (CUmemLocation){.type = CU_MEM_LOCATION_TYPE_HOST};
    return at;
}

static CUresult prefetch(CUdeviceptr p, size_t bytes, CUmemLocation to)
{
    struct vg_mem m;
    size_t count = 0;
    int place;
    CUresult r = enter_range(p, bytes, &m);

    if (r != CUDA_SUCCESS)
        return r;
    if (!place_of(to, &place))
        return CUDA_ERROR_INVALID_DEVICE;
    vg_lock(&lock);
    struct advice *a = pieces_of(m.base, p, bytes, &count);
    for (size_t i = 0; a && i < count; i++)
        a[i].prefetched = place;
    vg_unlock(&lock);
    return CUDA_SUCCESS;
}

CUresult cuMemPrefetchAsync_v2(CUdeviceptr devPtr, size_t count, CUmemLocation location,
                               unsigned flags, CUstream hStream)
{
    CUresult r = vg_enter_stream(hStream);

    if (r == CUDA_SUCCESS && flags != 0)
        r = CUDA_ERROR_INVALID_VALUE;
    return r ? r : prefetch(devPtr, count, location);
}

CUresult cuMemPrefetchAsync(CUdeviceptr devPtr, size_t count, CUdevice dstDevice, CUstream hStream)
{
    return cuMemPrefetchAsync_v2(devPtr, count, location_of(dstDevice), 0, hStream);
}

static void advise(struct advice *a, CUmem_advise what, int place)
{
    uint32_t bit = 1u << (place == CU_DEVICE_CPU ? CPU_BIT : (unsigned)place % CPU_BIT);

    switch (what) {
    case CU_MEM_ADVISE_SET_READ_MOSTLY:
    case CU_MEM_ADVISE_UNSET_READ_MOSTLY:
        a->read_mostly = what == CU_MEM_ADVISE_SET_READ_MOSTLY;
        break;
    case CU_MEM_ADVISE_SET_PREFERRED_LOCATION:
        a->preferred = place;
        break;
    case CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION:
        a->preferred = NOWHERE;
        break;
    case CU_MEM_ADVISE_SET_ACCESSED_BY:
        a->accessed |= bit;
        break;
    case CU_MEM_ADVISE_UNSET_ACCESSED_BY:
        a->accessed &= ~bit;
        break;
    }
}

/* Some advice is about no place. */
static bool needs_place(CUmem_advise what)
{
    return what == CU_MEM_ADVISE_SET_PREFERRED_LOCATION ||
           what == CU_MEM_ADVISE_SET_ACCESSED_BY || what == CU_MEM_ADVISE_UNSET_ACCESSED_BY;
}

CUresult cuMemAdvise_v2(CUdeviceptr devPtr, size_t count, CUmem_advise advice,
                        CUmemLocation location)
{
    struct vg_mem m;
    size_t pieces = 0;
    int place = CU_DEVICE_CPU;
    CUresult r = enter_range(devPtr, count, &m);

    if (r != CUDA_SUCCESS)
        return r;
    if (advice < CU_MEM_ADVISE_SET_READ_MOSTLY || advice > CU_MEM_ADVISE_UNSET_ACCESSED_BY ||
        (needs_place(advice) && !place_of(location, &place)))
        return CUDA_ERROR_INVALID_VALUE;
    vg_lock(&lock);
    struct advice *a = pieces_of(m.base, devPtr, count, &pieces);
    for (size_t i = 0; a && i < pieces; i++)
        advise(&a[i], advice, place);
    vg_unlock(&lock);
    return CUDA_SUCCESS;
}

CUresult cuMemAdvise(CUdeviceptr devPtr, size_t count, CUmem_advise advice, CUdevice device)
{
    return cuMemAdvise_v2(devPtr, count, advice, location_of(device));
}

/* ---- what was said: an answer for all pieces, or none ---------------------------------- */

static int common_place(const struct advice *a, size_t count, bool prefetched)
{
    int first = prefetched ? a[0].prefetched : a[0].preferred;

    for (size_t i = 1; i < count; i++)
        if ((prefetched ? a[i].prefetched : a[i].preferred) != first)
            return NOWHERE;
    return first;
}

static CUmemLocationType type_of(int place)
{
    return place == NOWHERE         ? CU_MEM_LOCATION_TYPE_INVALID
           : place == CU_DEVICE_CPU ? CU_MEM_LOCATION_TYPE_HOST
                                    : CU_MEM_LOCATION_TYPE_DEVICE;
}

static int read_mostly(const struct advice *a, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!a[i].read_mostly)
            return 0;
    return 1;
}

static void accessed_by(const struct advice *a, size_t count, int *out, size_t room)
{
    uint32_t all = UINT32_MAX;
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
        all &= a[i].accessed;
    for (unsigned bit = 0; bit <= CPU_BIT && n < room; bit++)
        if (all >> bit & 1u)
            out[n++] = bit == CPU_BIT ? CU_DEVICE_CPU : (int)bit;
    while (n < room)
        out[n++] = CU_DEVICE_INVALID;
}

static CUresult answer(const struct advice *a, size_t count, CUmem_range_attribute attribute,
                       int *out, size_t room)
{
    switch (attribute) {
    case CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY:
        *out = read_mostly(a, count);
        break;
    case CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY:
        accessed_by(a, count, out, room);
        return CUDA_SUCCESS;
    case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION:
    case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_ID:
        *out = common_place(a, count, false);
        break;
    case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION:
    case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_ID:
        *out = common_place(a, count, true);
        break;
    case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_TYPE:
        *out = (int)type_of(common_place(a, count, false));
        break;
    case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_TYPE:
        *out = (int)type_of(common_place(a, count, true));
        break;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
    return room == 1 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemRangeGetAttribute(void *data, size_t dataSize, CUmem_range_attribute attribute,
                                CUdeviceptr devPtr, size_t count)
{
    struct vg_mem m;
    size_t pieces = 0;
    CUresult r = enter_range(devPtr, count, &m);

    if (r != CUDA_SUCCESS)
        return r;
    if (!data || dataSize == 0 || dataSize % sizeof(int) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    vg_lock(&lock);
    struct advice *a = pieces_of(m.base, devPtr, count, &pieces);
    r = a ? answer(a, pieces, attribute, data, dataSize / sizeof(int)) : CUDA_ERROR_INVALID_VALUE;
    vg_unlock(&lock);
    return r;
}

CUresult cuMemRangeGetAttributes(void **data, size_t *dataSizes, CUmem_range_attribute *attributes,
                                 size_t numAttributes, CUdeviceptr devPtr, size_t count)
{
    CUresult r = vg_enter_ctx();

    if (r == CUDA_SUCCESS && (!data || !dataSizes || !attributes || numAttributes == 0))
        r = CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; r == CUDA_SUCCESS && i < numAttributes; i++)
        r = cuMemRangeGetAttribute(data[i], dataSizes[i], attributes[i], devPtr, count);
    return r;
}

/* ---- streams and batches ---------------------------------------------------------------- */

/* Every stream and the CPU may use the memory at any time, so there is nothing to attach. */
CUresult cuStreamAttachMemAsync(CUstream hStream, CUdeviceptr dptr, size_t length, unsigned flags)
{
    struct vg_mem m;
    CUresult r = vg_enter_stream(hStream);

    if (r != CUDA_SUCCESS)
        return r;
    if (!vg_mem_find(dptr, &m) || m.kind != VG_MEM_MANAGED || m.base != dptr ||
        (length != 0 && length != m.size))
        return CUDA_ERROR_INVALID_VALUE;
    if (flags == CU_MEM_ATTACH_SINGLE)
        return (uintptr_t)hStream > 1 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    return flags == CU_MEM_ATTACH_GLOBAL || flags == CU_MEM_ATTACH_HOST ? CUDA_SUCCESS
                                                                        : CUDA_ERROR_INVALID_VALUE;
}

/* Where each range of a batch goes: the location whose index is the last at or before its own. */
static CUresult prefetch_each(const CUdeviceptr *p, const size_t *bytes, size_t count,
                              const CUmemLocation *to, const size_t *from, size_t places)
{
    CUresult r = CUDA_SUCCESS;

    if (!to || !from || places == 0 || places > count || from[0] != 0)
        return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0, at = 0; r == CUDA_SUCCESS && i < count; i++) {
        if (at + 1 < places && from[at + 1] == i)
            at++;
        r = prefetch(p[i], bytes[i], to[at]);
    }
    return r;
}

static CUresult enter_batch(const CUdeviceptr *p, const size_t *bytes, size_t count,
                            unsigned long long flags, CUstream stream)
{
    struct vg_mem m;
    CUresult r = vg_enter_stream(stream);

    if (r == CUDA_SUCCESS && (!p || !bytes || count == 0 || flags != 0))
        r = CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; r == CUDA_SUCCESS && i < count; i++)
        r = enter_range(p[i], bytes[i], &m);
    return r;
}

CUresult cuMemPrefetchBatchAsync(CUdeviceptr *dptrs, size_t *sizes, size_t count,
                                 CUmemLocation *prefetchLocs, size_t *prefetchLocIdxs,
                                 size_t numPrefetchLocs, unsigned long long flags,
                                 CUstream hStream)
{
    CUresult r = enter_batch(dptrs, sizes, count, flags, hStream);

    return r ? r : prefetch_each(dptrs, sizes, count, prefetchLocs, prefetchLocIdxs,
                                 numPrefetchLocs);
}

/* What is discarded may have any content, the old one too. */
CUresult cuMemDiscardBatchAsync(CUdeviceptr *dptrs, size_t *sizes, size_t count,
                                unsigned long long flags, CUstream hStream)
{
    return enter_batch(dptrs, sizes, count, flags, hStream);
}

CUresult cuMemDiscardAndPrefetchBatchAsync(CUdeviceptr *dptrs, size_t *sizes, size_t count,
                                           CUmemLocation *prefetchLocs, size_t *prefetchLocIdxs,
                                           size_t numPrefetchLocs, unsigned long long flags,
                                           CUstream hStream)
{
    return cuMemPrefetchBatchAsync(dptrs, sizes, count, prefetchLocs, prefetchLocIdxs,
                                   numPrefetchLocs, flags, hStream);
}
