/* SPDX-License-Identifier: MIT */
/*
 * Pinned and mapped host memory. What we allocate lies in the shared region, where
 * application, executor and GPU see it at one address. What the application
 * registers stays where it is: copies of it are staged, unless it asked for a
 * mapping of whole pages, which are then replaced by the region's (ALIAS).
 */
#include <string.h>
#include <sys/mman.h>

#include "guest-shim/call.h"
#include "guest-shim/capture.h"
#include "guest-shim/chan.h"
#include "guest-shim/mem.h"
#include "guest-shim/state.h"
#include "vg_api.h"

#define ALLOC_FLAGS \
    (CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_WRITECOMBINED)
#define REGISTER_FLAGS \
    (CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP | CU_MEMHOSTREGISTER_READ_ONLY)

static size_t page_up(size_t n)
{
    return (n + VG_PAGE - 1) & ~(size_t)(VG_PAGE - 1);
}

static size_t extent_up(size_t n)
{
    return (n + VG_EXTENT_SIZE - 1) & ~(size_t)(VG_EXTENT_SIZE - 1);
}

static struct vg_mem new_host_mem(enum vg_mem_kind kind, void *p, size_t size, unsigned flags)
{
    struct vg_ctx *ctx = vg_ctx_current();

    return (struct vg_mem){.kind = kind, .base = (uintptr_t)p, .size = size, .flags = flags,
                           .ctx = ctx->handle, .dev = ctx->dev};
}

/* ---- allocation ---------------------------------------------------------------- */

/* Zeroed, because the extents may have been another process's. */
static CUresult alloc_shared(size_t bytes, unsigned flags, struct vg_mem *ret_mem)
{
    size_t span = extent_up(bytes), got;
    void *p = span < bytes ? NULL : vg_window_get(span, span, &got);

    if (!p)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memset(p, 0, span);
    CUresult r = vg_window_pin(p, span);
    if (r == CUDA_SUCCESS && (flags & CU_MEMHOSTALLOC_DEVICEMAP) && !vg_window_is_seen(p, span))
        r = vg_unsupported("mapped host memory: this host's GPU cannot see the shared region");
    if (r != CUDA_SUCCESS) {
        vg_window_put(p, span);
        return r;
    }
    *ret_mem = new_host_mem(VG_MEM_PINNED, p, bytes, flags);
    ret_mem->span = span;
    ret_mem->off = vg_window_off(p);
    return CUDA_SUCCESS;
}

/* The region is full. Without a mapping asked for, ordinary pages do: copies go a longer way. */
static CUresult alloc_loose(size_t bytes, unsigned flags, struct vg_mem *ret_mem)
{
    if (flags & CU_MEMHOSTALLOC_DEVICEMAP)
        return CUDA_ERROR_OUT_OF_MEMORY;
    size_t span = page_up(bytes);
    void *p = span < bytes ? MAP_FAILED
                           : mmap(NULL, span, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return CUDA_ERROR_OUT_OF_MEMORY;
    vg_log(2, "no room for %zu bytes in the shared region: pinned memory will be staged", bytes);
    *ret_mem = new_host_mem(VG_MEM_LOOSE, p, bytes, flags);
    ret_mem->span = span;
    return CUDA_SUCCESS;
}

static void host_release(const struct vg_mem *m)
{
    if (m->kind == VG_MEM_PINNED)
        vg_window_put((void *)m->base, m->span);
    else
        munmap((void *)m->base, m->span);
}

CUresult cuMemHostAlloc(void **pp, size_t bytesize, unsigned Flags)
{
    struct vg_mem m;
    CUresult r = vg_enter_ctx();

    if (r == CUDA_SUCCESS)
        r = vg_sticky();
    if (r == CUDA_SUCCESS)
        r = vg_capture_allows();
    if (r != CUDA_SUCCESS)
        return r;
    if (!pp || (Flags & ~ALLOC_FLAGS))
        return CUDA_ERROR_INVALID_VALUE;
    if (bytesize == 0) {
        *pp = NULL;
        return CUDA_SUCCESS;
    }
    r = alloc_shared(bytesize, Flags, &m);
    if (r == CUDA_ERROR_OUT_OF_MEMORY)
        r = alloc_loose(bytesize, Flags, &m);
    if (r != CUDA_SUCCESS)
        return r;
    if (!vg_mem_add(m)) {
        host_release(&m);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *pp = (void *)m.base;
    return CUDA_SUCCESS;
}

CUresult cuMemAllocHost_v2(void **pp, size_t bytesize)
{
    return cuMemHostAlloc(pp, bytesize, 0);
}

/* Sizes of 32 bits went with the contexts of that time: in all others the driver refuses. */
CUresult cuMemAllocHost(void **pp, unsigned bytesize)
{
    CUresult r = vg_enter_ctx();

    (void)pp;
    (void)bytesize;
    return r ? r : CUDA_ERROR_INVALID_CONTEXT;
}

/* As natively, this waits for the context: the GPU may still be using the memory. */
CUresult cuMemFreeHost(void *p)
{
    struct vg_mem m;
    CUresult r = vg_enter();

    if (r == CUDA_SUCCESS)
        r = vg_capture_allows();
    if (r != CUDA_SUCCESS || !p)
        return r;
    if (!vg_mem_find((uintptr_t)p, &m) || m.base != (uintptr_t)p || m.registered)
        return CUDA_ERROR_INVALID_VALUE;
    if (vg_enter_ctx() == CUDA_SUCCESS)
        r = vg_sync(VG_SYNC_CONTEXT, (uintptr_t)vg_ctx_current()->handle);
    if (!vg_mem_take((uintptr_t)p, VG_MEM_HOST, &m))
        return CUDA_ERROR_INVALID_VALUE;
    host_release(&m);
    return r;
}

/* ---- registration -------------------------------------------------------------- */

/* Quietly: after an error of before the host would use the pages that were taken back. */
static CUresult send_alias(const struct vg_mem *m)
{
    struct vg_reply reply;

    return vg_call_reply(VG_CALL_ALIAS, VG_WORDS(m->base, m->off, m->size), &reply);
}

/*
 * Puts the region's pages under the application's. What other threads write
 * meanwhile is lost, as the application must expect of memory it is registering.
 */
static CUresult alias_pages(struct vg_mem *m)
{
    size_t got;
    void *twin = vg_window_get(m->span, m->span, &got);

    if (!twin)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(twin, (void *)m->base, m->size);
    m->off = vg_window_off(twin);
    CUresult r = vg_window_pin(twin, m->span);
    if (r == CUDA_SUCCESS)
        r = send_alias(m);
    if (r == CUDA_SUCCESS &&
        vg_process.chan->ops->map_at(vg_process.chan, (void *)m->base, m->off, m->size) != 0) {
        vg_call_reply(VG_CALL_UNALIAS, VG_WORDS(m->base, m->size), NULL);
        r = vg_unsupported("cuMemHostRegister: these pages cannot be shared");
    }
    if (r != CUDA_SUCCESS)
        vg_window_put(twin, m->span);
    return r;
}

/* Gives the application ordinary pages with the same content back. */
static CUresult unalias_pages(const struct vg_mem *m)
{
    void *at = (void *)m->base, *twin = vg_process.base + m->off;
    void *plain = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (plain == MAP_FAILED)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(plain, twin, m->size);
    if (mremap(plain, m->size, m->size, MREMAP_MAYMOVE | MREMAP_FIXED, at) == MAP_FAILED) {
        munmap(plain, m->size);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    CUresult r = vg_call_reply(VG_CALL_UNALIAS, VG_WORDS(m->base, m->size), NULL);
    vg_window_put(twin, m->span);
    return r;
}

static bool whole_pages(const void *p, size_t bytes)
{
    return ((uintptr_t)p | bytes) % VG_PAGE == 0;
}

/* Pages that the application has: the kernel tells which of them are in memory, or that some are not. */
static bool is_mapped(uintptr_t base, size_t bytes)
{
    uintptr_t end = (base + bytes + VG_PAGE - 1) & ~(uintptr_t)(VG_PAGE - 1);

    for (uintptr_t at = base & ~(uintptr_t)(VG_PAGE - 1); at < end;) {
        unsigned char in_memory[256];
        size_t n = end - at < sizeof(in_memory) * VG_PAGE ? end - at : sizeof(in_memory) * VG_PAGE;
        if (mincore((void *)at, n, in_memory) != 0)
            return false;
        at += n;
    }
    return true;
}

/* Ordinary memory, or what has been registered: memory of CUDA's own cannot be. */
static CUresult may_register(uintptr_t base, size_t size)
{
    struct vg_mem m;

    if (vg_mem_find(base, &m) || vg_mem_find(base + size - 1, &m))
        return m.registered ? CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED : CUDA_ERROR_INVALID_VALUE;
    return is_mapped(base, size) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemHostRegister_v2(void *p, size_t bytesize, unsigned Flags)
{
    CUresult r = vg_enter_ctx();

    if (r == CUDA_SUCCESS)
        r = vg_sticky();
    if (r == CUDA_SUCCESS)
        r = vg_capture_allows();
    if (r != CUDA_SUCCESS)
        return r;
    if (!p || bytesize == 0 || (uintptr_t)p + bytesize < (uintptr_t)p)
        return CUDA_ERROR_INVALID_VALUE;
    if (Flags & ~REGISTER_FLAGS)
        return Flags & CU_MEMHOSTREGISTER_IOMEMORY
                   ? vg_unsupported("cuMemHostRegister of I/O memory")
                   : CUDA_ERROR_INVALID_VALUE;
    r = may_register((uintptr_t)p, bytesize);
    if (r != CUDA_SUCCESS)
        return r;
    struct vg_mem m = new_host_mem(VG_MEM_LOOSE, p, bytesize, Flags);
    m.registered = true;
    if ((Flags & CU_MEMHOSTREGISTER_DEVICEMAP) && whole_pages(p, bytesize)) {
        m.kind = VG_MEM_ALIAS;
        m.span = extent_up(bytesize);
        r = alias_pages(&m);
        if (r != CUDA_SUCCESS)
            return r;
    }
    if (vg_mem_add(m))
        return CUDA_SUCCESS;
    if (m.kind == VG_MEM_ALIAS)
        unalias_pages(&m);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuMemHostUnregister(void *p)
{
    struct vg_mem m;
    CUresult r = vg_enter_ctx();

    if (r == CUDA_SUCCESS)
        r = vg_capture_allows();
    if (r != CUDA_SUCCESS)
        return r;
    if (!p)
        return CUDA_ERROR_INVALID_VALUE;
    if (!vg_mem_find((uintptr_t)p, &m))
        return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
    if (m.base != (uintptr_t)p || !m.registered)
        return CUDA_ERROR_INVALID_VALUE;
    r = vg_sync(VG_SYNC_CONTEXT, (uintptr_t)vg_ctx_current()->handle);
    if (!vg_mem_take((uintptr_t)p, VG_MEM_HOST, &m))
        return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
    if (m.kind == VG_MEM_ALIAS) {
        CUresult undone = unalias_pages(&m);
        return r != CUDA_SUCCESS ? r : undone;
    }
    return r;
}

/* ---- queries -------------------------------------------------------------------- */

/* With unified addressing what is registered is mapped; here not before somebody asks. */
static bool share_now(struct vg_mem *m)
{
    struct vg_mem before;

    if (!m->registered || !whole_pages((void *)m->base, m->size) ||
        !vg_mem_take(m->base, 1u << VG_MEM_LOOSE, &before))
        return false;
    m->span = extent_up(m->size);
    m->kind = VG_MEM_ALIAS;
    bool shared = alias_pages(m) == CUDA_SUCCESS;
    return vg_mem_add(shared ? *m : before) && shared;
}

CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr *pdptr, void *p, unsigned Flags)
{
    struct vg_mem m;
    CUresult r = vg_enter_ctx();

    if (r != CUDA_SUCCESS)
        return r;
    if (!pdptr || Flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (!vg_mem_find((uintptr_t)p, &m) || !vg_mem_is(&m, VG_MEM_HOST))
        return CUDA_ERROR_INVALID_VALUE;
    if ((m.kind == VG_MEM_PINNED && !vg_window_is_seen((void *)m.base, m.span)) ||
        (m.kind == VG_MEM_LOOSE && !share_now(&m)))
        return vg_unsupported("cuMemHostGetDevicePointer of memory that is not shared");
    *pdptr = (CUdeviceptr)(uintptr_t)p;
    return CUDA_SUCCESS;
}

CUresult cuMemHostGetFlags(unsigned *pFlags, void *p)
{
    struct vg_mem m;
    CUresult r = vg_enter_ctx();

    if (r != CUDA_SUCCESS)
        return r;
    if (!pFlags || !vg_mem_find((uintptr_t)p, &m) || !vg_mem_is(&m, VG_MEM_HOST))
        return CUDA_ERROR_INVALID_VALUE;
    /* With unified addressing every pinned page is mapped, asked for or not. */
    *pFlags = m.flags | CU_MEMHOSTALLOC_DEVICEMAP;
    return CUDA_SUCCESS;
}
