/* SPDX-License-Identifier: MIT */
/*
 * cuMemAddressReserve, cuMemMap and what goes with them. Two sorted arrays under one lock:
 * reservations and mappings.
 *
 * What is not mapped stays readable and writable for this process (anonymous, without memory
 * behind it), because a kernel that runs while its memory is unmapped must not end the process;
 * the page map is what refuses kernels.
 */
#include "vmm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "api.h"
#include "device.h"
#include "phys.h"
#include "ptx/ptx.h"

struct vg_span {
    uint64_t base, size;
};

struct vg_mapping {
    struct vg_span at;
    struct vg_phys *phys;
    CUmemAccess_flags access[VG_DEVICES_MAX];
};

static struct vg_span *reserved;
static size_t reserved_count, reserved_room;
static struct vg_mapping *mapped;
static size_t mapped_count, mapped_room;

/* ------------------------------------------------------------------- the two arrays */

/* Both begin with a struct vg_span. Index of the first entry that ends after addr. */
static size_t span_position(const void *array, size_t stride, size_t count, uint64_t addr)
{
    size_t lo = 0, hi = count;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        const struct vg_span *s = (const void *)((const char *)array + mid * stride);

        if (s->base + s->size <= addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static size_t reserved_position(uint64_t addr)
{
    return span_position(reserved, sizeof(*reserved), reserved_count, addr);
}

static size_t mapped_position(uint64_t addr)
{
    return span_position(mapped, sizeof(*mapped), mapped_count, addr);
}

static int grow(void **array, size_t stride, size_t count, size_t *room)
{
    size_t more = *room != 0 ? *room * 2 : 16;
    void *bigger;

    if (count < *room)
        return 0;
    bigger = realloc(*array, more * stride);
    if (bigger == NULL)
        return -ENOMEM;
    *array = bigger;
    *room = more;
    return 0;
}

static struct vg_mapping *mapping_at(uint64_t addr)
{
    size_t i = mapped_position(addr);

    return i < mapped_count && mapped[i].at.base <= addr ? &mapped[i] : NULL;
}

static bool is_reserved(uint64_t addr, size_t size)
{
    size_t i = reserved_position(addr);

    return i < reserved_count && reserved[i].base <= addr &&
           size <= reserved[i].size - (addr - reserved[i].base);
}

/* ------------------------------------------------------------------- reservations */

/* First gap of the open space; 0: there is none. */
static uint64_t first_gap(uint64_t size, uint64_t align)
{
    uint64_t lo, space, end;
    size_t i;

    vg_arena_open_space(&lo, &space);
    end = lo + space;
    for (i = 0; i <= reserved_count; i++) {
        uint64_t stop = i < reserved_count ? reserved[i].base : end;
        uint64_t at = (lo + align - 1) & ~(align - 1);

        if (at >= lo && at <= stop && size <= stop - at)
            return at;
        if (i < reserved_count)
            lo = reserved[i].base + reserved[i].size;
    }
    return 0;
}

/* Whether the program's own wish can be fulfilled. */
static bool is_free(uint64_t addr, uint64_t size)
{
    uint64_t lo, space;
    size_t i = reserved_position(addr);

    vg_arena_open_space(&lo, &space);
    return addr >= lo && addr - lo <= space && size <= space - (addr - lo) &&
           (i == reserved_count || reserved[i].base - addr >= size);
}

static CUresult reserve_locked(uint64_t size, uint64_t align, uint64_t wish, CUdeviceptr *ret)
{
    uint64_t at = wish != 0 && wish % align == 0 && is_free(wish, size) ? wish
                                                                        : first_gap(size, align);
    size_t i;

    if (at == 0 || grow((void **)&reserved, sizeof(*reserved), reserved_count,
                        &reserved_room) != 0)
        return CUDA_ERROR_OUT_OF_MEMORY;
    i = reserved_position(at);
    memmove(&reserved[i + 1], &reserved[i], (reserved_count - i) * sizeof(*reserved));
    reserved[i] = (struct vg_span){ at, size };
    reserved_count++;
    *ret = at;
    return CUDA_SUCCESS;
}

VG_ENTRY(cuMemAddressReserve, (CUdeviceptr *ptr, size_t size, size_t alignment, CUdeviceptr addr,
                               unsigned long long flags))
{
    size_t align = alignment > VG_VMM_GRANULARITY ? alignment : VG_VMM_GRANULARITY;
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    if (ptr == NULL || size == 0 || !vg_is_granular(size) || (alignment & (alignment - 1)) != 0 ||
        flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    vg_vmm_lock();
    rc = reserve_locked(size, align, addr, ptr);
    vg_vmm_unlock();
    return rc;
}

/* A reservation goes as a whole and empty. */
static CUresult unreserve_locked(uint64_t base, uint64_t size)
{
    size_t i = reserved_position(base), m = mapped_position(base);

    if (i == reserved_count || reserved[i].base != base || reserved[i].size != size)
        return CUDA_ERROR_INVALID_VALUE;
    if (m < mapped_count && mapped[m].at.base - base < size)
        return CUDA_ERROR_INVALID_VALUE;
    reserved_count--;
    memmove(&reserved[i], &reserved[i + 1], (reserved_count - i) * sizeof(*reserved));
    return CUDA_SUCCESS;
}

VG_ENTRY(cuMemAddressFree, (CUdeviceptr ptr, size_t size))
{
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    vg_vmm_lock();
    rc = unreserve_locked(ptr, size);
    vg_vmm_unlock();
    return rc;
}

/* ----------------------------------------------------------------------- mappings */

VG_ENTRY(cuMemRetainAllocationHandle, (CUmemGenericAllocationHandle *handle, void *addr))
{
    struct vg_mapping *m;
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    vg_vmm_lock();
    m = handle != NULL ? mapping_at((uintptr_t)addr) : NULL;
    rc = m != NULL && m->phys->fd >= 0 ? vg_phys_retain_locked(m->phys, handle) : CUDA_ERROR_INVALID_VALUE;
    vg_vmm_unlock();
    return rc;
}


static int room_for_mapping(void)
{
    return grow((void **)&mapped, sizeof(*mapped), mapped_count, &mapped_room);
}

static struct vg_mapping *insert_mapping(uint64_t addr, size_t size, struct vg_phys *p)
{
    size_t i = mapped_position(addr);

    memmove(&mapped[i + 1], &mapped[i], (mapped_count - i) * sizeof(*mapped));
    memset(&mapped[i], 0, sizeof(mapped[i]));
    mapped[i].at = (struct vg_span){ addr, size };
    mapped[i].phys = p;
    mapped_count++;
    p->maps++;
    return &mapped[i];
}

static CUresult map_locked(uint64_t addr, size_t size, struct vg_phys *p)
{
    void *want = (void *)(uintptr_t)addr;
    size_t i = mapped_position(addr);

    if (p->fd < 0 || (i < mapped_count && mapped[i].at.base < addr + size))
        return CUDA_ERROR_INVALID_VALUE;
    if (room_for_mapping() != 0 ||
        mmap(want, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, p->fd, 0) != want)
        return CUDA_ERROR_OUT_OF_MEMORY;
    insert_mapping(addr, size, p);
    return CUDA_SUCCESS;
}

VG_ENTRY(cuMemMap, (CUdeviceptr ptr, size_t size, size_t offset,
                    CUmemGenericAllocationHandle handle, unsigned long long flags))
{
    struct vg_phys *p;
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    if (size == 0 || !vg_is_granular(ptr) || flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    vg_vmm_lock();
    p = vg_phys_get_locked(handle);
    if (p == NULL || !is_reserved(ptr, size))
        rc = CUDA_ERROR_INVALID_VALUE;
    else if (size != p->size || offset != 0)
        rc = CUDA_ERROR_NOT_SUPPORTED;  /* memory is mapped whole, as NVIDIA's driver has it */
    else
        rc = map_locked(ptr, size, p);
    vg_vmm_unlock();
    return rc;
}

/* The run of the program's mappings that fill [addr, addr + size) exactly; 0: they do not. */
static size_t whole_mappings(uint64_t addr, uint64_t size, size_t *ret_first)
{
    size_t first = mapped_position(addr), n = 0;
    uint64_t at = addr;

    if (size > UINT64_MAX - addr)
        return 0;
    for (; at < addr + size; n++) {
        if (first + n >= mapped_count || mapped[first + n].at.base != at ||
            mapped[first + n].phys->fd < 0)
            return 0;
        at += mapped[first + n].at.size;
    }
    *ret_first = first;
    return at == addr + size ? n : 0;
}

/* How many mappings lie in [addr, addr + size), from index first on; SIZE_MAX: one sticks out, or is
 * not the program's. */
static size_t inside(uint64_t addr, uint64_t size, size_t first)
{
    size_t n = 0;

    for (; first + n < mapped_count && mapped[first + n].at.base < addr + size; n++) {
        const struct vg_mapping *m = &mapped[first + n];

        if (m->at.base < addr || m->at.base + m->at.size > addr + size || m->phys->fd < 0)
            return SIZE_MAX;
    }
    return n;
}

/* Nothing there any more, for kernels and for us. */
static int empty(uint64_t addr, size_t size)
{
    vg_arena_set_pages(addr, size, PTX_PAGE_NONE);
    return mmap((void *)(uintptr_t)addr, size, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED
               ? 0 : -ENOMEM;
}

static CUresult unmap_locked(uint64_t addr, size_t size)
{
    size_t first = mapped_position(addr), n = inside(addr, size, first), i;

    if (size == 0 || !vg_is_granular(addr) || !vg_is_granular(size) || !is_reserved(addr, size) ||
        n == SIZE_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    if (empty(addr, size) != 0)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (i = first; i < first + n; i++) {
        mapped[i].phys->maps--;
        vg_phys_settle_locked(mapped[i].phys);
    }
    mapped_count -= n;
    memmove(&mapped[first], &mapped[first + n], (mapped_count - first) * sizeof(*mapped));
    return CUDA_SUCCESS;
}

VG_ENTRY(cuMemUnmap, (CUdeviceptr ptr, size_t size))
{
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    vg_vmm_lock();
    rc = unmap_locked(ptr, size);
    vg_vmm_unlock();
    return rc;
}

/* ------------------------------------------------------------------------- access */

/* The devices share one page map: the most that any of them may do. */
static CUmemAccess_flags most_access(const struct vg_mapping *m)
{
    CUmemAccess_flags most = CU_MEM_ACCESS_FLAGS_PROT_NONE;
    unsigned i;

    for (i = 0; i < VG_DEVICES_MAX; i++)
        if (m->access[i] > most)
            most = m->access[i];
    return most;
}

static void show_access(const struct vg_mapping *m)
{
    CUmemAccess_flags most = most_access(m);

    vg_arena_set_pages(m->at.base, m->at.size,
                       most == CU_MEM_ACCESS_FLAGS_PROT_READWRITE ? PTX_PAGE_RW
                       : most == CU_MEM_ACCESS_FLAGS_PROT_READ    ? PTX_PAGE_RO
                                                                  : PTX_PAGE_NONE);
}

static CUresult desc_check(const CUmemAccessDesc *desc, size_t count)
{
    size_t i;

    if (desc == NULL || count == 0)
        return CUDA_ERROR_INVALID_VALUE;
    for (i = 0; i < count; i++) {
        if (desc[i].location.type != CU_MEM_LOCATION_TYPE_DEVICE)
            return CUDA_ERROR_NOT_SUPPORTED;
        if (vg_device_get(desc[i].location.id) == NULL)
            return CUDA_ERROR_INVALID_DEVICE;
        if (desc[i].flags != CU_MEM_ACCESS_FLAGS_PROT_NONE &&
            desc[i].flags != CU_MEM_ACCESS_FLAGS_PROT_READ &&
            desc[i].flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
            return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

static CUresult set_access_locked(uint64_t addr, size_t size, const CUmemAccessDesc *desc,
                                  size_t count)
{
    size_t first = 0, n = whole_mappings(addr, size, &first), i, k;

    if (n == 0)
        return CUDA_ERROR_INVALID_VALUE;
    for (i = first; i < first + n; i++) {
        for (k = 0; k < count; k++)
            mapped[i].access[desc[k].location.id] = desc[k].flags;
        show_access(&mapped[i]);
    }
    return CUDA_SUCCESS;
}

VG_ENTRY(cuMemSetAccess, (CUdeviceptr ptr, size_t size, const CUmemAccessDesc *desc, size_t count))
{
    CUresult rc = vg_init_check();

    if (rc == CUDA_SUCCESS)
        rc = desc_check(desc, count);
    if (rc != CUDA_SUCCESS)
        return rc;
    vg_vmm_lock();
    rc = set_access_locked(ptr, size, desc, count);
    vg_vmm_unlock();
    return rc;
}

VG_ENTRY(cuMemGetAccess,
         (unsigned long long *flags, const CUmemLocation *location, CUdeviceptr ptr))
{
    const struct vg_mapping *m;
    CUresult rc = vg_init_check();

    if (rc != CUDA_SUCCESS)
        return rc;
    if (flags == NULL || location == NULL || location->type != CU_MEM_LOCATION_TYPE_DEVICE ||
        vg_device_get(location->id) == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    vg_vmm_lock();
    m = mapping_at(ptr);
    if (m != NULL)
        *flags = m->access[location->id];
    vg_vmm_unlock();
    return m != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* ------------------------------------------------------------------- for the others */

static void describe_locked(const struct vg_mapping *m, struct vg_block_info *b,
                            struct vg_vmm_info *info)
{
    const struct vg_span *r = &reserved[reserved_position(m->at.base)];

    memset(b, 0, sizeof(*b));
    b->base = m->at.base;
    b->size = m->at.size;
    b->id = m->phys->id;
    b->device = (unsigned)m->phys->prop.location.id;
    b->owner.kind = VG_BLOCK_MAPPED;
    if (info != NULL)
        *info = (struct vg_vmm_info){ r->base, r->size, m->phys->prop.requestedHandleTypes,
                                      m->phys->id };
}

int vg_vmm_find(uint64_t addr, struct vg_block_info *ret_block, struct vg_vmm_info *ret_info)
{
    const struct vg_mapping *m;

    vg_vmm_lock();
    m = mapping_at(addr);
    if (m != NULL)
        describe_locked(m, ret_block, ret_info);
    vg_vmm_unlock();
    return m != NULL ? 0 : -ENOENT;
}

bool vg_vmm_covers(uint64_t addr, size_t size)
{
    const struct vg_mapping *m;
    uint64_t at = addr;

    vg_vmm_lock();
    do {
        m = mapping_at(at);
        if (m == NULL || most_access(m) == CU_MEM_ACCESS_FLAGS_PROT_NONE)
            break;
        at = m->at.base + m->at.size;
    } while (at - addr < size);
    vg_vmm_unlock();
    return at - addr >= size && at != addr;
}

/* -------------------------------------------------- memory of other processes */

static struct vg_mapping *opened_before(const struct vg_foreign *who)
{
    size_t i;

    for (i = 0; i < mapped_count; i++) {
        const struct vg_foreign *f = &mapped[i].phys->foreign;

        if (mapped[i].phys->fd < 0 && f->pid == who->pid && f->id == who->id)
            return &mapped[i];
    }
    return NULL;
}

/* The pages around the memory are mapped with it; kernels see no more than the memory. */
static CUresult attach_locked(int fd, const struct vg_foreign *who, struct vg_phys *p,
                              CUdeviceptr *ret)
{
    uint64_t low = who->offset & ~(uint64_t)4095, skip = who->offset - low;
    size_t bytes = (skip + who->size + 4095) & ~(size_t)4095;
    struct vg_mapping *m;
    CUdeviceptr at;
    CUresult rc = room_for_mapping() != 0
                      ? CUDA_ERROR_OUT_OF_MEMORY
                      : reserve_locked(vg_round_up(bytes, VG_VMM_GRANULARITY), VG_VMM_GRANULARITY,
                                       0, &at);

    if (rc != CUDA_SUCCESS)
        return rc;
    if (mmap((void *)(uintptr_t)at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
             (off_t)low) == MAP_FAILED) {
        unreserve_locked(at, vg_round_up(bytes, VG_VMM_GRANULARITY));
        return CUDA_ERROR_MAP_FAILED;
    }
    m = insert_mapping(at + skip, vg_round_up(who->size, VG_ARENA_UNIT), p);
    m->access[p->prop.location.id] = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    show_access(m);
    *ret = m->at.base;
    return CUDA_SUCCESS;
}

CUresult vg_vmm_attach(int fd, const struct vg_foreign *who, int device, CUdeviceptr *ret)
{
    struct vg_phys *p = calloc(1, sizeof(*p));
    struct vg_mapping *m;
    CUresult rc = p != NULL ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;

    vg_vmm_lock();
    m = opened_before(who);
    if (m != NULL) {
        m->phys->opened++;
        *ret = m->at.base;
        free(p);
    } else if (p != NULL) {
        p->fd = -1;
        p->size = who->size;
        p->foreign = *who;
        p->opened = 1;
        p->id = vg_phys_next_id();
        p->prop.location = (CUmemLocation){ CU_MEM_LOCATION_TYPE_DEVICE, device };
        rc = attach_locked(fd, who, p, ret);
        if (rc != CUDA_SUCCESS)
            free(p);
    }
    vg_vmm_unlock();
    return rc;
}

static void detach_locked(struct vg_mapping *m)
{
    struct vg_span around = reserved[reserved_position(m->at.base)];
    size_t i = (size_t)(m - mapped);

    m->phys->maps--;
    vg_phys_settle_locked(m->phys);
    mapped_count--;
    memmove(&mapped[i], &mapped[i + 1], (mapped_count - i) * sizeof(*mapped));
    empty(around.base, around.size);
    unreserve_locked(around.base, around.size);
}

static struct vg_mapping *foreign_at(CUdeviceptr addr, bool pooled)
{
    struct vg_mapping *m = mapping_at(addr);

    return m != NULL && m->phys->fd < 0 && m->at.base == addr &&
           m->phys->foreign.pooled == pooled ? m : NULL;
}

bool vg_vmm_is_pooled(CUdeviceptr addr)
{
    bool is;

    vg_vmm_lock();
    is = foreign_at(addr, true) != NULL;
    vg_vmm_unlock();
    return is;
}

int vg_vmm_detach(CUdeviceptr addr, bool pooled)
{
    struct vg_mapping *m;
    int rc = -ENOENT;

    vg_vmm_lock();
    m = foreign_at(addr, pooled);
    if (m != NULL) {
        if (--m->phys->opened == 0)
            detach_locked(m);
        rc = 0;
    }
    vg_vmm_unlock();
    return rc;
}
