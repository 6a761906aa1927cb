/* SPDX-License-Identifier: MIT */
/*
 * The registry of host memory: an array sorted by address, and the copy of it that kernels hold
 * while they run.
 */
#include "hostmem.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "capture.h"
#include "ctx.h"
#include "device.h"

#define VG_PAGE 4096u
#define VG_PROBE_PAGES 16384u
#define VG_HOSTALLOC_FLAGS                                                                      \
    (CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_WRITECOMBINED)
#define VG_REGISTER_FLAGS                                                                       \
    (CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP | CU_MEMHOSTREGISTER_IOMEMORY | \
     CU_MEMHOSTREGISTER_READ_ONLY)

static pthread_mutex_t hostmem_lock = PTHREAD_MUTEX_INITIALIZER;
static struct vg_hostmem_info *ranges;
static size_t nranges, ranges_cap;
static struct vg_hostmem_view *current_view;    /* one reference is the registry's; NULL: stale */
static uint64_t next_id = 1ull << 40;           /* apart from those of device memory */

/* ---------------------------------------------------------------- the registry */

/* Index of the first range that ends after addr. */
static size_t range_at_locked(uint64_t addr)
{
    size_t lo = 0, hi = nranges;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (ranges[mid].base + ranges[mid].size <= addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void view_stale_locked(void)
{
    if (current_view != NULL && --current_view->refs == 0)
        free(current_view);
    current_view = NULL;
}

static CUresult range_insert(const struct vg_hostmem_info *info)
{
    CUresult rc = CUDA_SUCCESS;
    size_t i;

    pthread_mutex_lock(&hostmem_lock);
    i = range_at_locked(info->base);
    if (i < nranges && ranges[i].base < info->base + info->size) {
        rc = CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
    } else if (nranges == ranges_cap) {
        size_t cap = ranges_cap != 0 ? 2 * ranges_cap : 16;
        struct vg_hostmem_info *grown = realloc(ranges, cap * sizeof(*grown));

        rc = grown != NULL ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
        ranges = grown != NULL ? grown : ranges;
        ranges_cap = grown != NULL ? cap : ranges_cap;
    }
    if (rc == CUDA_SUCCESS) {
        memmove(&ranges[i + 1], &ranges[i], (nranges++ - i) * sizeof(*ranges));
        ranges[i] = *info;
        ranges[i].id = next_id++;
        view_stale_locked();
    }
    pthread_mutex_unlock(&hostmem_lock);
    return rc;
}

static void range_remove_locked(size_t i)
{
    memmove(&ranges[i], &ranges[i + 1], (--nranges - i) * sizeof(*ranges));
    view_stale_locked();
}

int vg_hostmem_find(uint64_t addr, struct vg_hostmem_info *ret)
{
    size_t i;
    int rc = -ENOENT;

    pthread_mutex_lock(&hostmem_lock);
    i = range_at_locked(addr);
    if (i < nranges && ranges[i].base <= addr) {
        *ret = ranges[i];
        rc = 0;
    }
    pthread_mutex_unlock(&hostmem_lock);
    return rc;
}

static struct vg_hostmem_view *view_make_locked(void)
{
    struct vg_hostmem_view *v = malloc(sizeof(*v) + nranges * sizeof(v->range[0]));
    size_t i;

    if (v == NULL)
        return NULL;
    v->refs = 1;
    v->n = nranges;
    for (i = 0; i < nranges; i++) {
        v->range[i].lo = ranges[i].base;
        v->range[i].hi = ranges[i].base + ranges[i].size;
    }
    return v;
}

struct vg_hostmem_view *vg_hostmem_view_get(void)
{
    struct vg_hostmem_view *v;

    pthread_mutex_lock(&hostmem_lock);
    if (current_view == NULL)
        current_view = view_make_locked();
    v = current_view;
    if (v != NULL)
        v->refs++;
    pthread_mutex_unlock(&hostmem_lock);
    return v;
}

void vg_hostmem_view_put(struct vg_hostmem_view *view)
{
    pthread_mutex_lock(&hostmem_lock);
    if (--view->refs == 0)
        free(view);
    pthread_mutex_unlock(&hostmem_lock);
}

/* Work of another context may still be at this memory: then only its pages go, not its place. */
static void range_release(const struct vg_hostmem_info *r, bool in_use)
{
    void *at = (void *)(uintptr_t)r->base;

    if (in_use)
        madvise(at, vg_round_up(r->size, VG_PAGE), MADV_DONTNEED);
    else
        munmap(at, vg_round_up(r->size, VG_PAGE));
}

void vg_hostmem_end_ctx(const struct vg_ctx *ctx)
{
    bool in_use = vg_ctx_others_busy(ctx);
    size_t i = 0;

    pthread_mutex_lock(&hostmem_lock);
    while (i < nranges) {
        if (ranges[i].ctx != ctx) {
            i++;
            continue;
        }
        if (ranges[i].allocated)
            range_release(&ranges[i], in_use);
        range_remove_locked(i);
    }
    pthread_mutex_unlock(&hostmem_lock);
}

/* mincore() says ENOMEM for holes; whatever else it says (a filter may forbid it) is no proof. */
bool vg_hostmem_is_mapped(const void *p, size_t size)
{
    uintptr_t lo = (uintptr_t)p & ~(uintptr_t)(VG_PAGE - 1), hi = (uintptr_t)p + size;
    unsigned char state[VG_PROBE_PAGES];

    if (hi < lo || p == NULL)
        return false;
    while (lo < hi) {
        size_t n = hi - lo < (size_t)VG_PROBE_PAGES * VG_PAGE ? hi - lo
                                                             : (size_t)VG_PROBE_PAGES * VG_PAGE;

        if (mincore((void *)lo, n, state) != 0 && errno == ENOMEM)
            return false;
        lo += n;
    }
    return true;
}

/* ------------------------------------------------------------------ entry points */

VG_ENTRY(cuMemHostAlloc, (void **pp, size_t size, unsigned flags))
{
    struct vg_hostmem_info info = { .size = size, .flags = flags, .allocated = true };
    CUresult rc = vg_ctx_enter(&info.ctx);
    void *at;

    if (rc == CUDA_SUCCESS)
        rc = vg_capture_check_unsafe();
    if (rc != CUDA_SUCCESS)
        return rc;
    if (pp == NULL || size == 0 || (flags & ~(unsigned)VG_HOSTALLOC_FLAGS) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (size > (size_t)1 << 46)
        return CUDA_ERROR_OUT_OF_MEMORY;
    at = mmap(NULL, vg_round_up(size, VG_PAGE), PROT_READ | PROT_WRITE,
              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return CUDA_ERROR_OUT_OF_MEMORY;
    info.base = (uintptr_t)at;
    rc = range_insert(&info);
    if (rc == CUDA_SUCCESS)
        *pp = at;
    else
        munmap(at, vg_round_up(size, VG_PAGE));
    return rc;
}

VG_ENTRY(cuMemAllocHost_v2, (void **pp, size_t size))
{
    return cuMemHostAlloc(pp, size, 0);
}

/* Ends a range that starts at p, after everything that may use it. */
static CUresult range_end(void *p, bool allocated, CUresult missing)
{
    struct vg_hostmem_info info;

    if (vg_hostmem_find((uintptr_t)p, &info) != 0 || info.base != (uintptr_t)p ||
        info.allocated != allocated)
        return missing;
    vg_ctx_synchronize_all();
    pthread_mutex_lock(&hostmem_lock);
    range_remove_locked(range_at_locked(info.base));
    pthread_mutex_unlock(&hostmem_lock);
    if (allocated)
        range_release(&info, false);
    return vg_ctx_error(info.ctx);
}

VG_ENTRY(cuMemFreeHost, (void *p))
{
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc == CUDA_SUCCESS)
        rc = vg_capture_check_unsafe();
    if (rc != CUDA_SUCCESS || p == NULL)
        return rc != CUDA_SUCCESS ? rc : CUDA_ERROR_INVALID_VALUE;
    return range_end(p, true, CUDA_ERROR_INVALID_VALUE);
}

VG_ENTRY(cuMemHostRegister_v2, (void *p, size_t size, unsigned flags))
{
    struct vg_hostmem_info info = { .base = (uintptr_t)p, .size = size, .flags = flags };
    CUresult rc = vg_ctx_enter(&info.ctx);

    if (rc == CUDA_SUCCESS)
        rc = vg_capture_check_unsafe();
    if (rc != CUDA_SUCCESS)
        return rc;
    if (p == NULL || size == 0 || (flags & ~(unsigned)VG_REGISTER_FLAGS) != 0 ||
        !vg_hostmem_is_mapped(p, size))
        return CUDA_ERROR_INVALID_VALUE;
    return range_insert(&info);
}

VG_ENTRY(cuMemHostRegister, (void *p, size_t size, unsigned flags))
{
    return cuMemHostRegister_v2(p, size, flags);
}

VG_ENTRY(cuMemHostUnregister, (void *p))
{
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS || p == NULL)
        return rc != CUDA_SUCCESS ? rc : CUDA_ERROR_INVALID_VALUE;
    return range_end(p, false, CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
}

VG_ENTRY(cuMemHostGetDevicePointer_v2, (CUdeviceptr *dptr, void *p, unsigned flags))
{
    struct vg_hostmem_info info;
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (dptr == NULL || flags != 0 || vg_hostmem_find((uintptr_t)p, &info) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    *dptr = (uintptr_t)p;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuMemHostGetFlags, (unsigned *flags, void *p))
{
    struct vg_hostmem_info info;
    struct vg_ctx *ctx;
    CUresult rc = vg_ctx_enter(&ctx);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (flags == NULL || vg_hostmem_find((uintptr_t)p, &info) != 0 || !info.allocated)
        return CUDA_ERROR_INVALID_VALUE;
    *flags = info.flags | CU_MEMHOSTALLOC_DEVICEMAP;    /* implied by unified addressing */
    return CUDA_SUCCESS;
}
