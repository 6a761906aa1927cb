/* SPDX-License-Identifier: MIT */
/*
 * Bodies: bytes of the region at a second address, for memory the guest registers.
 *
 * An alias that ends is never unmapped: work of another context may still use it,
 * and the next mapping of this process must not land under that. It becomes a hole,
 * anonymous memory that belongs to nobody, which a later alias may replace.
 * Serve thread.
 */
#include <sys/mman.h>

#include "mediator/executor/args.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#define RW (PROT_READ | PROT_WRITE)

static bool map_nothing(uint64_t addr, uint64_t bytes, int how)
{
    void *want = (void *)(uintptr_t)addr;
    void *p = mmap(want, bytes, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | how, -1, 0);

    if (p == want)
        return true;
    if (p != MAP_FAILED)
        munmap(p, bytes); /* an old kernel took the address as a hint */
    return false;
}

static bool make_hole(struct vg_exec *x, uint64_t addr, uint64_t bytes)
{
    struct vg_range n = {.base = addr, .size = bytes, .kind = VG_RANGE_HOLE};

    return vg_range_carve(&x->ranges, addr, bytes) == 0 && vg_range_add(&x->ranges, &n) == 0;
}

/* Where [addr, end) begins with something we may not replace, false; else the end of that part. */
static bool step(struct vg_exec *x, uint64_t addr, uint64_t end, uint64_t *ret_next)
{
    const struct vg_range *n = vg_range_find(&x->ranges, addr);
    uint64_t next = addr;

    if (n && n->kind != VG_RANGE_HOLE)
        return false;
    if (n) {
        next = n->base + n->size;
        *ret_next = next < end ? next : end;
        return true;
    }
    next = vg_range_next(&x->ranges, addr);
    if (next > end)
        next = end;
    if (!map_nothing(addr, next - addr, MAP_FIXED_NOREPLACE))
        return false;
    *ret_next = next;
    return make_hole(x, addr, next - addr);
}

/* Makes all of it holes, so that it may be replaced. */
static bool claim(struct vg_exec *x, uint64_t addr, uint64_t bytes)
{
    uint64_t end = addr + bytes;

    while (addr < end)
        if (!step(x, addr, end, &addr))
            return false;
    return true;
}

static CUresult map_alias(struct vg_exec *x, uint64_t addr, uint64_t off, uint64_t bytes)
{
    void *p = (void *)(uintptr_t)addr;

    if (!claim(x, addr, bytes) ||
        vg_regmem_map(&x->job.mem, p, off, bytes, RW, MAP_SHARED | MAP_FIXED) != p)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult rc = x->opt.unregistered ? CUDA_ERROR_NOT_SUPPORTED : x->cuda.cuMemHostRegister_v2(
        p, bytes, CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP);
    if (rc == CUDA_SUCCESS && vg_range_carve(&x->ranges, addr, bytes) < 0)
        rc = CUDA_ERROR_OUT_OF_MEMORY;
    if (rc == CUDA_SUCCESS)
        rc = vg_own_add_range(x, addr, bytes, VG_RANGE_ALIAS, 0);
    if (rc != CUDA_SUCCESS) {
        x->cuda.cuMemHostUnregister(p);
        map_nothing(addr, bytes, MAP_FIXED);
        make_hole(x, addr, bytes);
    }
    return rc;
}

CUresult vg_do_ALIAS(struct vg_exec *x, struct vg_req *r)
{
    const uint64_t *w = r->call.arg;

    if (!w[2] || w[0] % VG_PAGE || w[1] % VG_PAGE || w[2] % VG_PAGE || w[0] > UINT64_MAX - w[2])
        return CUDA_ERROR_INVALID_VALUE;
    if (w[0] < VG_GUEST_ADDRESS_MIN || w[0] + w[2] > VG_GUEST_ADDRESS_MAX ||
        !vg_guest_data(&x->guest, w[1], w[2]))
        return CUDA_ERROR_INVALID_VALUE;
    return map_alias(x, w[0], w[1], w[2]);
}

static CUresult end_alias(struct vg_exec *x, uint64_t addr, uint64_t bytes)
{
    CUresult rc = x->cuda.cuMemHostUnregister((void *)(uintptr_t)addr);

    map_nothing(addr, bytes, MAP_FIXED);
    make_hole(x, addr, bytes);
    return rc;
}

CUresult vg_do_UNALIAS(struct vg_exec *x, struct vg_req *r)
{
    const uint64_t *w = r->call.arg;
    const struct vg_range *n = vg_range_find(&x->ranges, w[0]);

    if (!n || n->kind != VG_RANGE_ALIAS || n->base != w[0] || n->size != w[1])
        return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
    if (!vg_wait_drained(x, r))
        return CUDA_SUCCESS;
    return end_alias(x, w[0], w[1]);
}

void vg_alias_drop(struct vg_exec *x, CUcontext ctx)
{
    for (size_t i = 0; i < x->ranges.count; i++) {
        const struct vg_range *n = &x->ranges.at[i];
        /* Whether the registration ended with the context is the driver's secret. */
        if (n->kind == VG_RANGE_ALIAS && n->context == (uintptr_t)ctx)
            end_alias(x, n->base, n->size);
    }
}
