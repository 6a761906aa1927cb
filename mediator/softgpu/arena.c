/* SPDX-License-Identifier: MIT */
/*
 * Allocation inside the arena: per device one treap of blocks, used and free, ordered by address
 * and carrying the largest free block of each subtree, so first fit and lookup are O(log n).
 */
#include "arena.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memfile.h"
#include "ptx/ptx.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#ifdef __SANITIZE_THREAD__      /* which lets programs map only near the top, and not much */
#define VG_ARENA_BASE 0x7e9000000000ull
#define VG_ARENA_OPEN (64ull << 30)
#else
#define VG_ARENA_BASE 0x200000000000ull
#define VG_ARENA_OPEN (4ull << 40)          /* bytes of address space for the program's mappings */
#endif
#define VG_ARENA_STEP 0x010000000000ull     /* where to look next when the place is taken */
#define VG_ARENA_TRIES 16
#define VG_ARENA_HUGE (2u << 20)
#define VG_ARENA_TRIM (64u << 10)           /* smaller frees keep their pages */

struct vg_block {
    uint64_t base;
    uint64_t span;              /* bytes of address space, a multiple of VG_ARENA_UNIT */
    uint64_t max_free;          /* largest free span in this subtree */
    struct vg_block *left, *right;
    struct vg_block *prev, *next;
    uint32_t priority;
    size_t size;
    uint64_t id;
    struct vg_block_owner owner;
};

struct vg_partition {
    struct vg_block *root;
    struct vg_block *first;
    size_t used;
};

static pthread_mutex_t arena_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t arena_base;
static size_t arena_span;               /* of one partition */
static size_t arena_total;              /* partitions and open space */
static size_t arena_limit;              /* of one device */
static unsigned arena_devices;
static uint8_t *arena_map;
static int arena_fd = -1;               /* of the partitions' memory; -1: it cannot be shared */
static struct vg_partition *arena_part;
static uint64_t arena_next_id = 1;
static uint32_t arena_seed = 0x9e3779b9u;

static uint32_t next_priority_locked(void)
{
    arena_seed ^= arena_seed << 13;
    arena_seed ^= arena_seed >> 17;
    arena_seed ^= arena_seed << 5;
    return arena_seed;
}

/* ---------------------------------------------------------------- the treap */

static uint64_t block_max_free(const struct vg_block *b)
{
    return b != NULL ? b->max_free : 0;
}

static void block_update(struct vg_block *b)
{
    uint64_t best = b->owner.kind == VG_BLOCK_FREE ? b->span : 0;

    if (block_max_free(b->left) > best)
        best = block_max_free(b->left);
    if (block_max_free(b->right) > best)
        best = block_max_free(b->right);
    b->max_free = best;
}

static struct vg_block *treap_merge(struct vg_block *a, struct vg_block *b)
{
    if (a == NULL || b == NULL)
        return a != NULL ? a : b;
    if (a->priority > b->priority) {
        a->right = treap_merge(a->right, b);
        block_update(a);
        return a;
    }
    b->left = treap_merge(a, b->left);
    block_update(b);
    return b;
}

/* Splits into blocks below key and the rest. */
static void treap_split(struct vg_block *t, uint64_t key, struct vg_block **low,
                        struct vg_block **high)
{
    if (t == NULL) {
        *low = *high = NULL;
    } else if (t->base < key) {
        treap_split(t->right, key, &t->right, high);
        block_update(t);
        *low = t;
    } else {
        treap_split(t->left, key, low, &t->left);
        block_update(t);
        *high = t;
    }
}

static void part_insert(struct vg_partition *p, struct vg_block *b)
{
    struct vg_block *low, *high;

    b->left = b->right = NULL;
    b->priority = next_priority_locked();
    block_update(b);
    treap_split(p->root, b->base, &low, &high);
    p->root = treap_merge(treap_merge(low, b), high);
}

static void part_remove(struct vg_partition *p, struct vg_block *b)
{
    struct vg_block *low, *mid, *high;

    treap_split(p->root, b->base, &low, &mid);
    treap_split(mid, b->base + 1, &mid, &high);
    p->root = treap_merge(low, high);
}

/* Recomputes max_free on the path to a block whose span or kind changed. */
static void part_refresh(struct vg_block *t, const struct vg_block *b)
{
    if (t != b)
        part_refresh(b->base < t->base ? t->left : t->right, b);
    block_update(t);
}

static struct vg_block *part_find(const struct vg_partition *p, uint64_t addr)
{
    struct vg_block *t = p->root;

    while (t != NULL) {
        if (addr < t->base)
            t = t->left;
        else if (addr - t->base < t->span)
            return t;
        else
            t = t->right;
    }
    return NULL;
}

static struct vg_block *part_first_fit(const struct vg_partition *p, uint64_t span)
{
    struct vg_block *t = p->root;

    while (t != NULL && t->max_free >= span) {
        if (block_max_free(t->left) >= span)
            t = t->left;
        else if (t->owner.kind == VG_BLOCK_FREE && t->span >= span)
            return t;
        else
            t = t->right;
    }
    return NULL;
}

/* ------------------------------------------------------------------- set-up */

static void *arena_map_somewhere(size_t bytes)
{
    unsigned i;

    for (i = 0; i < VG_ARENA_TRIES; i++) {
        void *want = (void *)(uintptr_t)(VG_ARENA_BASE + i * VG_ARENA_STEP);
        void *at = mmap(want, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

        if (at == want)
            return at;
        if (at != MAP_FAILED)   /* a kernel before 4.17 takes the address as a hint */
            munmap(at, bytes);
    }
    return NULL;
}

/* Lays a file under the partitions, so that their memory can be shared. Without one they work too. */
static void arena_back(void *at, size_t bytes)
{
    int fd = vg_memfile_new("vgpu-soft-arena", bytes);

    if (fd >= 0 && mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED,
                        fd, 0) == at)
        arena_fd = fd;
    else if (fd >= 0)
        close(fd);
}

static int part_init(struct vg_partition *p, uint64_t base, size_t span)
{
    struct vg_block *b = calloc(1, sizeof(*b));

    if (b == NULL)
        return -ENOMEM;
    b->base = base;
    b->span = span;
    p->first = b;
    part_insert(p, b);
    return 0;
}

static int arena_init_parts(unsigned devices)
{
    unsigned i;

    arena_part = calloc(devices, sizeof(*arena_part));
    if (arena_part == NULL)
        return -ENOMEM;
    for (i = 0; i < devices; i++)
        if (part_init(&arena_part[i], arena_base + i * arena_span, arena_span) != 0)
            return -ENOMEM;
    arena_devices = devices;
    return 0;
}

/*
 * The map stands behind the arena: its 8 GiB among the shared libraries would be in the way of
 * memory that a program registers, which must have its own address here.
 */
int vg_arena_init(unsigned devices, size_t limit)
{
    size_t span = (limit + limit / 2 + VG_ARENA_HUGE) / VG_ARENA_HUGE * VG_ARENA_HUGE;
    size_t total = span * devices + VG_ARENA_OPEN;
    uint8_t *at = arena_map_somewhere(total + (total >> VG_ARENA_SHIFT));

    if (at == NULL)
        return -ENOMEM;
    arena_back(at, span * devices);
    madvise(at, span * devices, MADV_HUGEPAGE);
    madvise(at, total, MADV_DONTDUMP);
    arena_base = (uintptr_t)at;
    arena_span = span;
    arena_total = total;
    arena_limit = limit;
    arena_map = at + total;
    return arena_init_parts(devices);
}

/* ------------------------------------------------------------ alloc and free */

static void map_pages(const struct vg_block *b, int how)
{
    memset(arena_map + ((b->base - arena_base) >> VG_ARENA_SHIFT), how, b->span >> VG_ARENA_SHIFT);
}

static struct vg_partition *part_of_locked(uint64_t addr)
{
    uint64_t off = addr - arena_base;

    return arena_devices != 0 && off < arena_span * arena_devices ? &arena_part[off / arena_span]
                                                                  : NULL;
}

/* Cuts b to span bytes; what is left becomes a free block behind it. */
static int block_cut(struct vg_partition *p, struct vg_block *b, uint64_t span)
{
    struct vg_block *rest;

    if (b->span == span)
        return 0;
    rest = calloc(1, sizeof(*rest));
    if (rest == NULL)
        return -ENOMEM;
    rest->base = b->base + span;
    rest->span = b->span - span;
    rest->prev = b;
    rest->next = b->next;
    if (b->next != NULL)
        b->next->prev = rest;
    b->next = rest;
    b->span = span;
    part_refresh(p->root, b);
    part_insert(p, rest);
    return 0;
}

/* Written under the lock, read without. */
static void count(const struct vg_block_owner *owner, int64_t bytes)
{
    if (owner->counter != NULL)
        __atomic_fetch_add(owner->counter, (uint64_t)bytes, __ATOMIC_RELAXED);
}

static int alloc_locked(struct vg_partition *p, size_t size, const struct vg_block_owner *owner,
                        uint64_t *ret_base)
{
    uint64_t span = (size + VG_ARENA_UNIT - 1) & ~(uint64_t)(VG_ARENA_UNIT - 1);
    struct vg_block *b;

    if (size == 0 || size > arena_limit || span > arena_limit - p->used)
        return -ENOMEM;
    b = part_first_fit(p, span);
    if (b == NULL || block_cut(p, b, span) != 0)
        return -ENOMEM;
    b->owner = *owner;
    b->size = size;
    b->id = arena_next_id++;
    part_refresh(p->root, b);
    p->used += span;
    count(owner, (int64_t)span);
    map_pages(b, PTX_PAGE_RW);
    *ret_base = b->base;
    return 0;
}

int vg_arena_alloc(unsigned device, size_t size, const struct vg_block_owner *owner,
                   uint64_t *ret_base)
{
    int rc;

    pthread_mutex_lock(&arena_lock);
    rc = device < arena_devices ? alloc_locked(&arena_part[device], size, owner, ret_base)
                                : -ENOMEM;
    pthread_mutex_unlock(&arena_lock);
    return rc;
}

static void block_return_pages(const struct vg_block *b)
{
    uint64_t lo = (b->base + 4095) & ~4095ull, hi = (b->base + b->span) & ~4095ull;

    if (hi > lo && hi - lo >= VG_ARENA_TRIM)
        madvise((void *)(uintptr_t)lo, hi - lo, arena_fd >= 0 ? MADV_REMOVE : MADV_DONTNEED);
}

/* Joins b with the free block behind it. */
static void block_join_next(struct vg_partition *p, struct vg_block *b)
{
    struct vg_block *n = b->next;

    if (n == NULL || n->owner.kind != VG_BLOCK_FREE)
        return;
    part_remove(p, n);
    b->span += n->span;
    b->next = n->next;
    if (n->next != NULL)
        n->next->prev = b;
    free(n);
    part_refresh(p->root, b);
}

static void free_locked(struct vg_partition *p, struct vg_block *b)
{
    map_pages(b, PTX_PAGE_NONE);
    block_return_pages(b);
    p->used -= b->span;
    count(&b->owner, -(int64_t)b->span);
    memset(&b->owner, 0, sizeof(b->owner));
    part_refresh(p->root, b);
    block_join_next(p, b);
    if (b->prev != NULL && b->prev->owner.kind == VG_BLOCK_FREE)
        block_join_next(p, b->prev);
}

static struct vg_block *find_used_locked(uint64_t addr)
{
    struct vg_partition *p = part_of_locked(addr);
    struct vg_block *b = p != NULL ? part_find(p, addr) : NULL;

    return b != NULL && b->owner.kind != VG_BLOCK_FREE ? b : NULL;
}

int vg_arena_free(uint64_t base)
{
    struct vg_block *b;
    int rc = -ENOENT;

    pthread_mutex_lock(&arena_lock);
    b = find_used_locked(base);
    if (b != NULL && b->base == base) {
        free_locked(part_of_locked(base), b);
        rc = 0;
    }
    pthread_mutex_unlock(&arena_lock);
    return rc;
}

void vg_arena_free_ctx(const struct vg_ctx *ctx)
{
    struct vg_block *b, *next;
    unsigned i;

    pthread_mutex_lock(&arena_lock);
    for (i = 0; i < arena_devices; i++)
        for (b = arena_part[i].first; b != NULL; b = next) {
            next = b->next;
            if (b->owner.kind == VG_BLOCK_FREE || b->owner.ctx != ctx)
                continue;
            /* Freeing may swallow the free block behind: step over it first. */
            if (next != NULL && next->owner.kind == VG_BLOCK_FREE)
                next = next->next;
            free_locked(&arena_part[i], b);
        }
    pthread_mutex_unlock(&arena_lock);
}

int vg_arena_find(uint64_t addr, struct vg_block_info *ret)
{
    struct vg_block *b;

    pthread_mutex_lock(&arena_lock);
    b = find_used_locked(addr);
    if (b != NULL) {
        ret->base = b->base;
        ret->size = b->size;
        ret->id = b->id;
        ret->device = (unsigned)((b->base - arena_base) / arena_span);
        ret->owner = b->owner;
    }
    pthread_mutex_unlock(&arena_lock);
    return b != NULL && addr - b->base < b->size ? 0 : -ENOENT;
}

void vg_arena_protect(uint64_t base)
{
    struct vg_block *b;

    pthread_mutex_lock(&arena_lock);
    b = find_used_locked(base);
    if (b != NULL)
        map_pages(b, PTX_PAGE_RO);
    pthread_mutex_unlock(&arena_lock);
}

void vg_arena_used(unsigned device, size_t *ret_used, size_t *ret_limit)
{
    pthread_mutex_lock(&arena_lock);
    *ret_used = device < arena_devices ? arena_part[device].used : 0;
    *ret_limit = arena_limit;
    pthread_mutex_unlock(&arena_lock);
}

int vg_arena_charge(unsigned device, size_t bytes)
{
    int rc = -ENOMEM;

    pthread_mutex_lock(&arena_lock);
    if (device < arena_devices && bytes <= arena_limit - arena_part[device].used) {
        arena_part[device].used += bytes;
        rc = 0;
    }
    pthread_mutex_unlock(&arena_lock);
    return rc;
}

void vg_arena_refund(unsigned device, size_t bytes)
{
    pthread_mutex_lock(&arena_lock);
    arena_part[device].used -= bytes;
    pthread_mutex_unlock(&arena_lock);
}

int vg_arena_file(uint64_t base, uint64_t *ret_offset)
{
    *ret_offset = base - arena_base;
    return arena_fd >= 0 ? arena_fd : -ENOTSUP;
}

void vg_arena_open_space(uint64_t *ret_base, uint64_t *ret_size)
{
    *ret_base = arena_base + arena_span * arena_devices;
    *ret_size = VG_ARENA_OPEN;
}

void vg_arena_set_pages(uint64_t addr, size_t size, int how)
{
    memset(arena_map + ((addr - arena_base) >> VG_ARENA_SHIFT), how, size >> VG_ARENA_SHIFT);
}

bool vg_arena_contains(uint64_t addr)
{
    return addr - arena_base < arena_total;
}

uint64_t vg_arena_base(void)
{
    return arena_base;
}

size_t vg_arena_size(void)
{
    return arena_total;
}

const uint8_t *vg_arena_page_map(void)
{
    return arena_map;
}
