/* SPDX-License-Identifier: MIT */
/*
 * Virtual memory management: the host's driver reserves and maps, we keep the same
 * addresses free in the application and remember what is mapped. Any thread.
 */
#include "guest-shim/vmm.h"

#include <stdlib.h>
#include <string.h>

#include "guest-shim/call.h"
#include "guest-shim/fwd.h"
#include "guest-shim/handle_map.h"
#include "guest-shim/mem.h"
#include "guest-shim/state.h"
#include "vg_api.h"

/* A range that collides with a mapping of the application is held back while another is asked for. */
#define COLLISIONS_MAX 4

/* ---- reservations ----------------------------------------------------------------- */

struct reservation {
    struct reservation *next;
    CUdeviceptr base;
    size_t size;
};

static struct vg_lock lock;     /* of the list, and of changes to notes */
static struct reservation *reservations;

bool vg_vmm_reservation(CUdeviceptr p, CUdeviceptr *ret_base, size_t *ret_size)
{
    struct reservation *r;

    vg_lock(&lock);
    for (r = reservations; r && p - r->base >= r->size; r = r->next)
        ;
    if (r) {
        *ret_base = r->base;
        *ret_size = r->size;
    }
    vg_unlock(&lock);
    return r != NULL;
}

static bool note_reservation(CUdeviceptr base, size_t size)
{
    struct reservation *r = malloc(sizeof(*r));

    if (!r)
        return false;
    *r = (struct reservation){.base = base, .size = size};
    vg_lock(&lock);
    r->next = reservations;
    reservations = r;
    vg_unlock(&lock);
    return true;
}

static void forget_reservation(CUdeviceptr base)
{
    vg_lock(&lock);
    struct reservation **at = &reservations, *r;
    while (*at && (*at)->base != base)
        at = &(*at)->next;
    r = *at;
    if (r)
        *at = r->next;
    vg_unlock(&lock);
    free(r);
}

struct wish {
    size_t size, alignment;
    CUdeviceptr addr;
    unsigned long long flags;
};

static CUresult ask(const struct wish *w, CUdeviceptr *ret_base)
{
    struct vg_reply reply;
    CUresult r = vg_call_reply(VG_CALL_cuMemAddressReserve,
                               VG_WORDS(1, w->size, w->alignment, w->addr, w->flags), &reply);

    if (r == CUDA_SUCCESS)
        *ret_base = reply.val[0];
    return r;
}

static void give_back(CUdeviceptr base, size_t size)
{
    vg_call_reply(VG_CALL_cuMemAddressFree, VG_WORDS(base, size), NULL);
}

/* Where the driver's choice always collides, a place that is free here, if it is free there too. */
static CUresult reserve_here(struct wish w, CUdeviceptr *ret_base)
{
    CUdeviceptr got;

    w.addr = vg_mem_place(w.size, w.alignment);
    if (!w.addr)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult r = ask(&w, &got);
    if (r != CUDA_SUCCESS)
        return r;
    if (got != w.addr && !vg_mem_reserve(got, w.size)) {
        give_back(got, w.size);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *ret_base = got;
    return CUDA_SUCCESS;
}

static CUresult reserve(const struct wish *w, CUdeviceptr *ret_base)
{
    CUdeviceptr held[COLLISIONS_MAX], got = 0;
    unsigned collisions = 0;
    CUresult r;

    while ((r = ask(w, &got)) == CUDA_SUCCESS && !vg_mem_reserve(got, w->size)) {
        held[collisions++] = got;
        if (collisions == COLLISIONS_MAX) {
            r = reserve_here(*w, &got);
            break;
        }
    }
    while (collisions)
        give_back(held[--collisions], w->size);
    if (r == CUDA_SUCCESS)
        *ret_base = got;
    return r;
}

CUresult cuMemAddressReserve(CUdeviceptr *ptr, size_t size, size_t alignment, CUdeviceptr addr,
                             unsigned long long flags)
{
    struct wish w = {.size = size, .alignment = alignment, .addr = addr, .flags = flags};
    CUdeviceptr base;
    CUresult r = vg_enter();

    if (r != CUDA_SUCCESS)
        return r;
    if (!ptr || size == 0)
        return CUDA_ERROR_INVALID_VALUE;
    r = reserve(&w, &base);
    if (r != CUDA_SUCCESS)
        return r;
    if (!note_reservation(base, size)) {
        give_back(base, size);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *ptr = base;
    return CUDA_SUCCESS;
}

CUresult cuMemAddressFree(CUdeviceptr ptr, size_t size)
{
    CUresult r = vg_enter();

    if (r == CUDA_SUCCESS)
        r = vg_call_reply(VG_CALL_cuMemAddressFree, VG_WORDS(ptr, size), NULL);
    if (r == CUDA_SUCCESS) {
        vg_mem_forget_mapped(ptr, size);
        forget_reservation(ptr);
    }
    return r;
}

/* ---- physical memory: what pointers must tell of it later ---------------------------- */

struct note {
    uint32_t refs;              /* of the handle */
    uint32_t handle_types;
    CUdevice dev;
    uint64_t block;
};

static struct vg_handle_map notes;
static uint64_t last_block = 1ull << 32;    /* a number space of its own, see vg_mem.id */

/* A handle that is not noted only leaves pointers without these answers. */
static void note_handle(CUmemGenericAllocationHandle handle, uint32_t types, CUdevice dev,
                        uint64_t block)
{
    vg_lock(&lock);
    struct note *n = vg_handle_map_find(&notes, handle);
    if (n) {
        n->refs++;
    } else if ((n = malloc(sizeof(*n))) != NULL) {
        *n = (struct note){.refs = 1, .handle_types = types, .dev = dev,
                           .block = block ? block : ++last_block};
        if (!vg_handle_map_put(&notes, handle, n))
            free(n);
    }
    vg_unlock(&lock);
}

static void drop_handle(CUmemGenericAllocationHandle handle)
{
    vg_lock(&lock);
    struct note *n = vg_handle_map_find(&notes, handle);
    if (n && --n->refs == 0)
        free(vg_handle_map_take(&notes, handle));
    vg_unlock(&lock);
}

void vg_vmm_imported(CUmemGenericAllocationHandle handle)
{
    CUmemAllocationProp prop;

    if (cuMemGetAllocationPropertiesFromHandle(&prop, handle) == CUDA_SUCCESS)
        note_handle(handle, prop.requestedHandleTypes, prop.location.id, 0);
}

static struct note noted(CUmemGenericAllocationHandle handle)
{
    struct note none = {.dev = 0};

    vg_lock(&lock);
    struct note *n = vg_handle_map_find(&notes, handle);
    if (n)
        none = *n;
    vg_unlock(&lock);
    return none;
}

static CUresult host_create(VG_PARAMS(cuMemCreate)) VG_FWD_BODY(cuMemCreate)

CUresult cuMemCreate(CUmemGenericAllocationHandle *handle, size_t size,
                     const CUmemAllocationProp *prop, unsigned long long flags)
{
    if (vg_enter() == CUDA_SUCCESS && (!handle || !prop))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult r = host_create(handle, size, prop, flags);
    if (r == CUDA_SUCCESS)
        note_handle(*handle, prop->requestedHandleTypes, prop->location.id, 0);
    return r;
}

CUresult cuMemRelease(CUmemGenericAllocationHandle handle)
{
    CUresult r = vg_enter();

    if (r == CUDA_SUCCESS)
        r = vg_call_reply(VG_CALL_cuMemRelease, VG_WORDS(handle), NULL);
    if (r == CUDA_SUCCESS)
        drop_handle(handle);
    return r;
}

CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *handle, void *addr)
{
    struct vg_mem m;
    struct vg_reply reply;
    CUresult r = vg_enter();

    if (r != CUDA_SUCCESS)
        return r;
    if (!handle || !vg_mem_find((uintptr_t)addr, &m) || m.kind != VG_MEM_MAPPED)
        return CUDA_ERROR_INVALID_VALUE;
    r = vg_call_reply(VG_CALL_cuMemRetainAllocationHandle, VG_WORDS((uintptr_t)addr), &reply);
    if (r != CUDA_SUCCESS)
        return r;
    *handle = reply.val[0];
    note_handle(*handle, m.handle_types, m.dev, m.id);
    return CUDA_SUCCESS;
}

static CUresult host_granularity(VG_PARAMS(cuMemGetAllocationGranularity))
VG_FWD_BODY(cuMemGetAllocationGranularity)

CUresult cuMemGetAllocationGranularity(size_t *granularity, const CUmemAllocationProp *prop,
                                       CUmemAllocationGranularity_flags option)
{
    if (vg_enter() == CUDA_SUCCESS && (!granularity || !prop))
        return CUDA_ERROR_INVALID_VALUE;
    return host_granularity(granularity, prop, option);
}

/* ---- mappings ------------------------------------------------------------------------ */

CUresult cuMemMap(CUdeviceptr ptr, size_t size, size_t offset, CUmemGenericAllocationHandle handle,
                  unsigned long long flags)
{
    CUresult r = vg_enter();

    if (r == CUDA_SUCCESS)
        r = vg_call_reply(VG_CALL_cuMemMap, VG_WORDS(ptr, size, offset, handle, flags), NULL);
    if (r != CUDA_SUCCESS)
        return r;
    struct note n = noted(handle);
    struct vg_mem m = {.base = ptr, .size = size, .kind = VG_MEM_MAPPED, .dev = n.dev,
                       .handle_types = n.handle_types, .id = n.block};
    if (vg_mem_add(m))
        return CUDA_SUCCESS;
    vg_call_reply(VG_CALL_cuMemUnmap, VG_WORDS(ptr, size), NULL);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuMemUnmap(CUdeviceptr ptr, size_t size)
{
    CUresult r = vg_enter();

    if (r == CUDA_SUCCESS)
        r = vg_call_reply(VG_CALL_cuMemUnmap, VG_WORDS(ptr, size), NULL);
    if (r == CUDA_SUCCESS)
        vg_mem_forget_mapped(ptr, size);
    return r;
}

static CUresult host_set_access(VG_PARAMS(cuMemSetAccess)) VG_FWD_BODY(cuMemSetAccess)

CUresult cuMemSetAccess(CUdeviceptr ptr, size_t size, const CUmemAccessDesc *desc, size_t count)
{
    CUresult r = host_set_access(ptr, size, desc, count);

    for (size_t i = 0; r == CUDA_SUCCESS && i < count; i++) {
        if (vg_device(desc[i].location.id))
            vg_mem_set_access(ptr, size, desc[i].location.id,
                              desc[i].flags != CU_MEM_ACCESS_FLAGS_PROT_NONE);
    }
    return r;
}

static CUresult host_get_access(VG_PARAMS(cuMemGetAccess)) VG_FWD_BODY(cuMemGetAccess)

CUresult cuMemGetAccess(unsigned long long *flags, const CUmemLocation *location, CUdeviceptr ptr)
{
    if (vg_enter() == CUDA_SUCCESS && (!flags || !location))
        return CUDA_ERROR_INVALID_VALUE;
    return host_get_access(flags, location, ptr);
}

/* ---- multicast: an object is mapped like memory --------------------------------------- */

CUresult cuMulticastCreate(VG_PARAMS(cuMulticastCreate)) VG_FWD_BODY(cuMulticastCreate)
