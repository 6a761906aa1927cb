/* SPDX-License-Identifier: MIT */
/*
 * The table of known memory ranges, sorted by address, and the address space kept
 * free for them. Read on every copy, written on allocations: a read-write lock.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "guest-shim/mem.h"
#include "guest-shim/state.h"
#include "vg_atomic.h"

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct vg_mem *table;
static size_t count, room;
static uint64_t last_id;

/* Index of the first range that ends after p: the one that holds p, if any does. */
static size_t position(uintptr_t p)
{
    size_t lo = 0, hi = count;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (table[mid].base + table[mid].size <= p)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool make_room(void)
{
    if (count < room)
        return true;
    size_t more = room ? room * 2 : 64;
    struct vg_mem *bigger = realloc(table, more * sizeof(*table));
    if (!bigger)
        return false;
    table = bigger;
    room = more;
    return true;
}

/* What the driver gives out again was a graph's that has ended, or is shared among its nodes. */
static void displace_graph_memory(size_t at, const struct vg_mem *m)
{
    size_t end = at;

    while (end < count && table[end].base < m->base + m->size && table[end].kind == VG_MEM_GRAPH)
        end++;
    if (end == at)
        return;
    memmove(&table[at], &table[end], (count - end) * sizeof(*table));
    count -= end - at;
}

static uint32_t any_graphs;     /* as any_syncs */

bool vg_mem_is_graphs(uintptr_t p)
{
    struct vg_mem m;

    return vg_load_relaxed(&any_graphs) && vg_mem_find(p, &m) && m.kind == VG_MEM_GRAPH;
}

bool vg_mem_add(struct vg_mem m)
{
    bool ok = false;

    if (m.kind == VG_MEM_GRAPH)
        vg_store_relaxed(&any_graphs, 1);
    pthread_rwlock_wrlock(&lock);
    size_t at = position(m.base);
    displace_graph_memory(at, &m);
    bool overlaps = at < count && table[at].base < m.base + m.size;
    if (!overlaps && make_room()) {
        m.id = m.id ? m.id : ++last_id;
        memmove(&table[at + 1], &table[at], (count - at) * sizeof(*table));
        table[at] = m;
        count++;
        ok = true;
    }
    pthread_rwlock_unlock(&lock);
    return ok;
}

bool vg_mem_find(uintptr_t p, struct vg_mem *ret_mem)
{
    pthread_rwlock_rdlock(&lock);
    size_t at = position(p);
    bool found = at < count && table[at].base <= p;
    if (found)
        *ret_mem = table[at];
    pthread_rwlock_unlock(&lock);
    return found;
}

static bool is_open(const struct vg_mem *m)
{
    return m->kind == VG_MEM_MAPPED && m->access;
}

static void extend(size_t at, uintptr_t p, size_t bytes, struct vg_mem *m)
{
    while (m->base + m->size - p < bytes && ++at < count && is_open(&table[at]) &&
           table[at].base == m->base + m->size)
        m->size += table[at].size;
}

bool vg_mem_find_run(uintptr_t p, size_t bytes, struct vg_mem *ret_mem)
{
    pthread_rwlock_rdlock(&lock);
    size_t at = position(p);
    bool found = at < count && table[at].base <= p;
    if (found) {
        *ret_mem = table[at];
        if (is_open(ret_mem))
            extend(at, p, bytes, ret_mem);
        else if (ret_mem->kind == VG_MEM_MAPPED)
            ret_mem->size = p - ret_mem->base;
    }
    pthread_rwlock_unlock(&lock);
    return found;
}

void vg_mem_set_access(uintptr_t base, size_t size, CUdevice dev, bool may)
{
    pthread_rwlock_wrlock(&lock);
    for (size_t at = position(base); at < count && table[at].base - base < size; at++) {
        if (table[at].kind == VG_MEM_MAPPED && may)
            table[at].access |= 1u << dev;
        else if (table[at].kind == VG_MEM_MAPPED)
            table[at].access &= ~(1u << dev);
    }
    pthread_rwlock_unlock(&lock);
}

static uint32_t any_syncs;      /* some range ever did: 0 spares the search */

bool vg_mem_set_syncs(uintptr_t p, bool syncs)
{
    pthread_rwlock_wrlock(&lock);
    size_t at = position(p);
    bool known = at < count && table[at].base <= p;
    if (known)
        table[at].sync_memops = syncs;
    pthread_rwlock_unlock(&lock);
    if (known && syncs)
        vg_store_relaxed(&any_syncs, 1);
    return known;
}

bool vg_mem_syncs(uintptr_t p)
{
    struct vg_mem m;

    return vg_load_relaxed(&any_syncs) && vg_mem_find(p, &m) && m.sync_memops;
}

void vg_mem_forget_mapped(uintptr_t base, size_t size)
{
    pthread_rwlock_wrlock(&lock);
    size_t kept = position(base), at = kept;
    for (; at < count && table[at].base - base < size; at++) {
        if (table[at].kind != VG_MEM_MAPPED)
            table[kept++] = table[at];
    }
    memmove(&table[kept], &table[at], (count - at) * sizeof(*table));
    count -= at - kept;
    pthread_rwlock_unlock(&lock);
}

bool vg_mem_take(uintptr_t base, unsigned kinds, struct vg_mem *ret_mem)
{
    pthread_rwlock_wrlock(&lock);
    size_t at = position(base);
    bool found = at < count && table[at].base == base && vg_mem_is(&table[at], kinds);
    if (found) {
        *ret_mem = table[at];
        count--;
        memmove(&table[at], &table[at + 1], (count - at) * sizeof(*table));
    }
    pthread_rwlock_unlock(&lock);
    return found;
}

bool vg_mem_take_of(CUcontext ctx, unsigned kinds, struct vg_mem *ret_mem)
{
    bool found = false;

    pthread_rwlock_wrlock(&lock);
    for (size_t at = 0; !found && at < count; at++) {
        found = table[at].ctx == ctx && vg_mem_is(&table[at], kinds);
        if (found) {
            *ret_mem = table[at];
            count--;
            memmove(&table[at], &table[at + 1], (count - at) * sizeof(*table));
        }
    }
    pthread_rwlock_unlock(&lock);
    return found;
}

void vg_mem_forget_global(uintptr_t base)
{
    struct vg_mem m;

    vg_mem_take(base, 1u << VG_MEM_GLOBAL, &m);
}

bool vg_mem_on_gpu(CUdeviceptr p, size_t bytes)
{
    struct vg_mem m;

    return vg_mem_find_run(p, bytes, &m) && vg_mem_is(&m, VG_MEM_ON_GPU | VG_MEM_SHARED) &&
           bytes <= m.base + m.size - p;
}

/* What lived in a context ends with it. Host memory stays mapped: the application may still read it. */
static void forget_context(struct vg_ctx *ctx)
{
    size_t kept = 0;

    pthread_rwlock_wrlock(&lock);
    for (size_t i = 0; i < count; i++) {
        if (table[i].ctx != ctx->handle || !vg_mem_is(&table[i], VG_MEM_ON_GPU))
            table[kept++] = table[i];
    }
    count = kept;
    pthread_rwlock_unlock(&lock);
}

__attribute__((constructor)) static void range_start(void)
{
    vg_ctx_on_end(forget_context);
}

/* ---- address space ------------------------------------------------------------ */

#define GRANULE (2ull << 20)    /* bytes; neighbouring reservations merge in the kernel */

struct span {
    uintptr_t lo, hi;
};
static pthread_mutex_t span_lock = PTHREAD_MUTEX_INITIALIZER;
static struct span *spans;
static size_t span_count;

/* Where the first part of [lo, hi) that is not reserved begins and ends. False: all of it is. */
static bool first_gap(uintptr_t lo, uintptr_t hi, uintptr_t *ret_lo, uintptr_t *ret_hi)
{
    for (size_t i = 0; i < span_count; i++) {
        if (spans[i].lo <= lo && lo < spans[i].hi) {
            lo = spans[i].hi;
            i = (size_t)-1;     /* others may go on from here */
        }
    }
    for (size_t i = 0; i < span_count; i++) {
        if (spans[i].lo > lo && spans[i].lo < hi)
            hi = spans[i].lo;
    }
    *ret_lo = lo;
    *ret_hi = hi;
    return lo < hi;
}

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* Kernels before 4.17 take the flag for a hint: then the address tells. */
static bool map_nothing(uintptr_t lo, size_t size)
{
    void *want = (void *)lo;
    void *got = mmap(want, size, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

    if (got == want)
        return true;
    if (got != MAP_FAILED)
        munmap(got, size);
    return false;
}

static bool note_span(uintptr_t lo, uintptr_t hi)
{
    for (size_t i = 0; i < span_count; i++) {
        if (spans[i].hi == lo) {
            spans[i].hi = hi;
            return true;
        }
    }
    struct span *bigger = realloc(spans, (span_count + 1) * sizeof(*spans));
    if (!bigger)
        return false;
    spans = bigger;
    spans[span_count++] = (struct span){lo, hi};
    return true;
}

/* Gap by gap, because parts of the range may be ours already. */
static bool reserve_range(uintptr_t lo, uintptr_t hi)
{
    uintptr_t end;

    for (; first_gap(lo, hi, &lo, &end); lo = end) {
        if (!map_nothing(lo, end - lo) || !note_span(lo, end))
            return false;
    }
    return true;
}

bool vg_mem_reserve(uintptr_t base, size_t size)
{
    uintptr_t lo = base & ~(GRANULE - 1);
    uintptr_t hi = (base + size + GRANULE - 1) & ~(GRANULE - 1);

    pthread_mutex_lock(&span_lock);
    bool ok = reserve_range(lo, hi) ||
              reserve_range(base & ~(uintptr_t)(VG_PAGE - 1),
                            (base + size + VG_PAGE - 1) & ~(uintptr_t)(VG_PAGE - 1));
    pthread_mutex_unlock(&span_lock);
    return ok;
}

uintptr_t vg_mem_place(size_t size, size_t alignment)
{
    size_t align = alignment > GRANULE ? alignment : GRANULE;

    if ((align & (align - 1)) || size > SIZE_MAX - align)
        return 0;
    uint8_t *p = mmap(NULL, size + align, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return 0;
    uintptr_t lo = ((uintptr_t)p + align - 1) & ~(align - 1);
    munmap(p, size + align);
    return vg_mem_reserve(lo, size) ? lo : 0;
}
