/* SPDX-License-Identifier: MIT */
/*
 * Memory as a kernel sees it: every address of every lane is checked here
 * before it is used. Runs on the CTA's thread. Ranges once found valid are kept,
 * so that all lanes are checked at once (alu_simd_mem.h does the common cases).
 */
#include "handlers.h"

#include <string.h>

enum {
    RUN_PAGES = 1 << 13, /* how far a valid range is followed each way */
    NEAR = 1 << 16       /* bytes between lanes that are likely in one range */
};

/* ------------------------------------------------------------ global memory */

static int page_at(const struct ptx_space *s, uint64_t page)
{
    return __atomic_load_n(&s->page_map[page], __ATOMIC_RELAXED);
}

/* Eight pages from here are all of one kind. */
static int eight_pages(const struct ptx_space *s, uint64_t page, int kind)
{
    uint64_t eight;

    memcpy(&eight, s->page_map + page, sizeof(eight));
    return eight == (uint64_t)kind * 0x0101010101010101u;
}

/* The run of pages of one kind around an address of the arena. */
static int find_pages(const struct ptx_space *s, uint64_t addr, struct page_run *r)
{
    uint64_t npages = (s->arena_size + (1ull << s->page_shift) - 1) >> s->page_shift;
    uint64_t first = (addr - s->arena_base) >> s->page_shift, last = first;
    int kind = page_at(s, first), n;

    if (kind == PTX_PAGE_NONE)
        return 0;
    for (n = 0; n < RUN_PAGES && first >= 8 && eight_pages(s, first - 8, kind); n += 8)
        first -= 8;
    for (n = 0; n < 8 && first > 0 && page_at(s, first - 1) == kind; n++)
        first--;
    for (n = 0; n < RUN_PAGES && last + 8 < npages && eight_pages(s, last + 1, kind); n += 8)
        last += 8;
    for (n = 0; n < 8 && last + 1 < npages && page_at(s, last + 1) == kind; n++)
        last++;
    r->lo = s->arena_base + (first << s->page_shift);
    r->hi = s->arena_base + ((last + 1) << s->page_shift);
    if (r->hi > s->arena_base + s->arena_size)
        r->hi = s->arena_base + s->arena_size;
    r->read_only = kind == PTX_PAGE_RO;
    return 1;
}

static int find_run(const struct ptx_space *s, uint64_t addr, struct page_run *r)
{
    size_t i;

    if (addr - s->arena_base < s->arena_size)
        return find_pages(s, addr, r);
    for (i = 0; i < s->nranges; i++) {
        if (addr >= s->ranges[i].lo && addr < s->ranges[i].hi) {
            r->lo = s->ranges[i].lo;
            r->hi = s->ranges[i].hi;
            r->read_only = 0;
            return 1;
        }
    }
    return 0;
}

static int in_known_run(const struct warp *w, uint64_t lo, uint64_t hi, int write)
{
    uint32_t i;

    for (i = 0; i < RUNS; i++)
        if (lo >= w->runs[i].lo && hi <= w->runs[i].hi)
            return !(write && w->runs[i].read_only);
    return 0;
}

/* [lo, hi) is valid and, to write, not read-only; remembered for the next time. */
static int range_ok(struct warp *w, uint64_t lo, uint64_t hi, int write)
{
    struct page_run r;

    if (hi <= lo)
        return 0;
    if (in_known_run(w, lo, hi, write))
        return 1;
    if (!find_run(&w->cta->grid->space, lo, &r) || hi > r.hi)
        return 0;
    w->runs[w->cta->next_run++ % RUNS] = r;
    return !(write && r.read_only);
}

/* One access of one lane, far from the others'. It lies in one page: it is
 * aligned, and pages are larger than any access. */
static int access_ok(struct warp *w, uint64_t addr, uint32_t size, int write)
{
    const struct ptx_space *s = &w->cta->grid->space;
    uint64_t off = addr - s->arena_base;
    int kind;

    if (off >= s->arena_size || s->arena_size - off < size)
        return range_ok(w, addr, addr + size, write);
    kind = page_at(s, off >> s->page_shift);
    return kind == PTX_PAGE_RW || (kind == PTX_PAGE_RO && !write);
}

static int bad_address(struct warp *w, const struct uop *u, int lane, uint64_t addr, uint32_t size,
                       const char *space, int write)
{
    return ptx_fault(w, u, lane, PTX_FAULT_ADDRESS, addr, "invalid %s %s of size %u at 0x%llx",
                     space, write ? "write" : "read", size, (unsigned long long)addr);
}

static int misaligned(struct warp *w, const struct uop *u, uint32_t mask, const uint64_t *addr,
                      uint32_t align)
{
    FOR_LANES(i, mask)
        if (addr[i] & (align - 1))
            return ptx_fault(w, u, (int)i, PTX_FAULT_MISALIGNED, addr[i],
                             "address 0x%llx is not a multiple of %u", (unsigned long long)addr[i],
                             align);
    return 0;
}

static int resolve_global(struct warp *w, const struct uop *u, uint32_t mask, const uint64_t *addr,
                          uint32_t size, int write, unsigned char **p)
{
    uint64_t lo = UINT64_MAX, hi = 0;

    FOR_LANES(i, mask) {
        lo = addr[i] < lo ? addr[i] : lo;
        hi = addr[i] > hi ? addr[i] : hi;
        p[i] = (unsigned char *)(uintptr_t)addr[i];
    }
    if (hi < UINT64_MAX - size &&
        (hi - lo > NEAR ? in_known_run(w, lo, hi + size, write)
                        : range_ok(w, lo, hi + size, write)))
        return 0;
    FOR_LANES(i, mask)
        if (!access_ok(w, addr[i], size, write))
            return bad_address(w, u, (int)i, addr[i], size, "global", write);
    return 0;
}

/* ------------------------------------------------------------- other spaces */

static int resolve_window(struct warp *w, const struct uop *u, uint32_t mask, const uint64_t *off,
                          uint32_t size, unsigned char *base, uint64_t limit, uint64_t stride,
                          const char *name, unsigned char **p)
{
    FOR_LANES(i, mask) {
        if (off[i] > limit || limit - off[i] < size)
            return bad_address(w, u, (int)i, off[i], size, name, 0);
        p[i] = base + i * stride + off[i];
    }
    return 0;
}

static int resolve_frame(struct warp *w, const struct uop *u, unsigned char **p)
{
    uint32_t i;

    for (i = 0; i < PTX_LANES; i++)
        p[i] = lane_frame(w, w->cur->fr, i) + u->imm;
    return 0;
}

/* Where one generic address of one lane lies; NULL: nowhere. */
void *ptx_lane_memory(struct warp *w, int lane, uint64_t addr, uint32_t n, int write)
{
    const struct grid *g = w->cta->grid;
    uint64_t off;

    if (addr < PTX_WINDOW_SHARED)
        return range_ok(w, addr, addr + n, write) ? (void *)(uintptr_t)addr : NULL;
    if (addr < PTX_WINDOW_LOCAL) {
        off = addr - PTX_WINDOW_SHARED;
        return off <= w->cta->shared_size && w->cta->shared_size - off >= n ? w->cta->shared + off
                                                                          : NULL;
    }
    if (addr < PTX_WINDOW_PARAM) {
        off = addr - PTX_WINDOW_LOCAL;
        return off <= w->local_size && w->local_size - off >= n
                   ? w->local + (size_t)lane * w->local_stride + off
                   : NULL;
    }
    off = addr - PTX_WINDOW_PARAM;
    if (write || addr >= PTX_WINDOW_CODE || off > g->l->param_size || g->l->param_size - off < n)
        return NULL;
    return g->params + off;
}

static int resolve_generic(struct warp *w, const struct uop *u, uint32_t mask,
                           const uint64_t *addr, uint32_t size, int write, unsigned char **p)
{
    uint64_t high = 0;

    FOR_LANES(i, mask)
        high |= addr[i];
    if (high < PTX_WINDOW_SHARED)
        return resolve_global(w, u, mask, addr, size, write, p);
    FOR_LANES(i, mask) {
        p[i] = ptx_lane_memory(w, (int)i, addr[i], size, write);
        if (!p[i])
            return bad_address(w, u, (int)i, addr[i], size, "generic", write);
    }
    return 0;
}

static uint64_t load_addresses(const struct warp *w, const struct uop *u, uint32_t mask,
                               uint64_t *addr)
{
    uint64_t low = 0;
    uint32_t i;

    if (u->x[1]) {
        const uint64_t *a = reg64(w, u->a);

        for (i = 0; i < PTX_LANES; i++)
            addr[i] = a[i] + (uint64_t)u->imm;
    } else {
        const uint32_t *a = reg32(w, u->a);

        for (i = 0; i < PTX_LANES; i++)
            addr[i] = (uint64_t)(a[i] + (uint32_t)u->imm);
    }
    FOR_LANES(k, mask)
        low |= addr[k];
    return low;
}

int ptx_resolve(struct warp *w, const struct uop *u, uint32_t mask, uint32_t size, uint32_t align,
                int write, unsigned char **p)
{
    const struct grid *g = w->cta->grid;
    uint64_t addr[PTX_LANES];

    if (u->x[0] == MEM_FRAME)
        return resolve_frame(w, u, p);
    if ((load_addresses(w, u, mask, addr) & (align - 1)) && misaligned(w, u, mask, addr, align))
        return CTL_FAULT;
    switch (u->x[0]) {
    case MEM_GLOBAL:
        return resolve_global(w, u, mask, addr, size, write, p);
    case MEM_SHARED:
        return resolve_window(w, u, mask, addr, size, w->cta->shared, w->cta->shared_size, 0,
                              "shared", p);
    case MEM_LOCAL:
        return resolve_window(w, u, mask, addr, size, w->local, w->local_size, w->local_stride,
                              "local", p);
    case MEM_PARAM:
        return resolve_window(w, u, mask, addr, size, g->params, g->l->param_size, 0, "param", p);
    default:
        return resolve_generic(w, u, mask, addr, size, write, p);
    }
}

/* ------------------------------------------------------------ loads, stores */

#define LOAD_LOOP(reg_t, mem_t)                                                                   \
    do {                                                                                          \
        reg_t *d = (reg_t *)(void *)to;                                                           \
        mem_t v;                                                                                  \
        FOR_LANES(i, mask) {                                                                      \
            memcpy(&v, p[i] + at, sizeof(v));                                                     \
            d[i] = (reg_t)v;                                                                      \
        }                                                                                         \
    } while (0)

static void load_element(const struct uop *u, uint32_t mask, unsigned char *const *p, uint32_t at,
                         unsigned char *to)
{
    switch (u->x[2] | (u->x[3] ? 16 : 0) | (u->x[5] ? 32 : 0)) {
    case 1: LOAD_LOOP(uint32_t, uint8_t); break;
    case 2: LOAD_LOOP(uint32_t, uint16_t); break;
    case 4: case 20: LOAD_LOOP(uint32_t, uint32_t); break;
    case 17: LOAD_LOOP(uint32_t, int8_t); break;
    case 18: LOAD_LOOP(uint32_t, int16_t); break;
    case 33: LOAD_LOOP(uint64_t, uint8_t); break;
    case 34: LOAD_LOOP(uint64_t, uint16_t); break;
    case 36: LOAD_LOOP(uint64_t, uint32_t); break;
    case 49: LOAD_LOOP(uint64_t, int8_t); break;
    case 50: LOAD_LOOP(uint64_t, int16_t); break;
    case 52: LOAD_LOOP(uint64_t, int32_t); break;
    default: LOAD_LOOP(uint64_t, uint64_t); break;
    }
}

/* Volatile, relaxed, acquire: other threads may be writing it. */
static uint64_t load_one_strong(const unsigned char *p, unsigned bytes)
{
    switch (bytes) {
    case 1: return __atomic_load_n(p, __ATOMIC_ACQUIRE);
    case 2: return __atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_ACQUIRE);
    case 4: return __atomic_load_n((const uint32_t *)(const void *)p, __ATOMIC_ACQUIRE);
    default: return __atomic_load_n((const uint64_t *)(const void *)p, __ATOMIC_ACQUIRE);
    }
}

static void load_strong(const struct uop *u, uint32_t mask, unsigned char *const *p, uint32_t at,
                        unsigned char *to)
{
    unsigned bytes = u->x[2], drop = 64 - bytes * 8;

    FOR_LANES(i, mask) {
        uint64_t v = load_one_strong(p[i] + at, bytes);

        if (u->x[3])
            v = (uint64_t)((int64_t)(v << drop) >> drop);
        if (u->x[5])
            ((uint64_t *)(void *)to)[i] = v;
        else
            ((uint32_t *)(void *)to)[i] = (uint32_t)v;
    }
}

static void load_elements(struct warp *w, const struct uop *u, uint32_t mask,
                          unsigned char *const *p)
{
    const uint32_t *slots = u->x[4] == 1 ? &u->d : u->aux;
    uint32_t k;

    for (k = 0; k < u->x[4]; k++) {
        if (slots[k] == PTX_NO_REG)
            continue;
        if (u->x[6])
            load_strong(u, mask, p, k * u->x[2], w->regs + slots[k]);
        else
            load_element(u, mask, p, k * u->x[2], w->regs + slots[k]);
    }
}

HANDLER(ptx_op_ld)
{
    unsigned char *p[PTX_LANES];
    uint32_t size = (uint32_t)u->x[2] * u->x[4];

    if (ptx_resolve(w, u, mask, size, size, 0, p))
        return CTL_FAULT;
    load_elements(w, u, mask, p);
    return u->x[6] && u->x[0] != MEM_SHARED ? look_around(w, u) : CTL_NEXT;
}

HANDLER(ptx_op_ld_param)
{
    unsigned char *p[PTX_LANES];
    uint32_t i;

    for (i = 0; i < PTX_LANES; i++)
        p[i] = w->cta->grid->params + u->imm;
    load_elements(w, u, mask, p);
    return CTL_NEXT;
}

#define STORE_LOOP(reg_t, mem_t)                                                                  \
    do {                                                                                          \
        const reg_t *s = (const reg_t *)(const void *)from;                                       \
        FOR_LANES(i, mask) {                                                                      \
            mem_t v = (mem_t)s[i];                                                                \
            memcpy(p[i] + at, &v, sizeof(v));                                                     \
        }                                                                                         \
    } while (0)

static void store_element(const struct uop *u, uint32_t mask, unsigned char *const *p, uint32_t at,
                          const unsigned char *from)
{
    switch (u->x[2] | (u->x[5] ? 32 : 0)) {
    case 1: STORE_LOOP(uint32_t, uint8_t); break;
    case 2: STORE_LOOP(uint32_t, uint16_t); break;
    case 4: STORE_LOOP(uint32_t, uint32_t); break;
    case 33: STORE_LOOP(uint64_t, uint8_t); break;
    case 34: STORE_LOOP(uint64_t, uint16_t); break;
    case 36: STORE_LOOP(uint64_t, uint32_t); break;
    default: STORE_LOOP(uint64_t, uint64_t); break;
    }
}

static void store_one_strong(unsigned char *p, unsigned bytes, uint64_t v)
{
    switch (bytes) {
    case 1: __atomic_store_n(p, (uint8_t)v, __ATOMIC_RELEASE); break;
    case 2: __atomic_store_n((uint16_t *)(void *)p, (uint16_t)v, __ATOMIC_RELEASE); break;
    case 4: __atomic_store_n((uint32_t *)(void *)p, (uint32_t)v, __ATOMIC_RELEASE); break;
    default: __atomic_store_n((uint64_t *)(void *)p, v, __ATOMIC_RELEASE); break;
    }
}

static void store_strong(const struct uop *u, uint32_t mask, unsigned char *const *p, uint32_t at,
                         const unsigned char *from)
{
    FOR_LANES(i, mask)
        store_one_strong(p[i] + at, u->x[2],
                         u->x[5] ? ((const uint64_t *)(const void *)from)[i]
                                 : ((const uint32_t *)(const void *)from)[i]);
}

HANDLER(ptx_op_st)
{
    const uint32_t *slots = u->x[4] == 1 ? &u->d : u->aux;
    unsigned char *p[PTX_LANES];
    uint32_t size = (uint32_t)u->x[2] * u->x[4], k;

    if (ptx_resolve(w, u, mask, size, size, 1, p))
        return CTL_FAULT;
    for (k = 0; k < u->x[4]; k++) {
        if (u->x[6])
            store_strong(u, mask, p, k * u->x[2], w->regs + slots[k]);
        else
            store_element(u, mask, p, k * u->x[2], w->regs + slots[k]);
    }
    return CTL_NEXT;
}

/* The real size is a register's: bytes beyond it are zero in the destination. */
HANDLER(ptx_op_copy)
{
    unsigned char *from[PTX_LANES], *to[PTX_LANES], buf[16];
    struct uop dst = *u;
    uint32_t size = u->x[2];

    dst.a = u->e;
    dst.x[0] = MEM_SHARED;
    dst.x[1] = u->x[4];
    dst.imm = *(const int64_t *)u->aux;
    if (ptx_resolve(w, &dst, mask, size, size, 1, to) ||
        ptx_resolve(w, u, mask, size, size, 0, from))
        return CTL_FAULT;
    FOR_LANES(i, mask) {
        uint32_t n = u->x[5] ? reg32(w, u->c)[i] : size;

        memset(buf, 0, sizeof(buf));
        memcpy(buf, from[i], n < size ? n : size);
        memcpy(to[i], buf, size);
    }
    return CTL_NEXT;
}

HANDLER(ptx_op_isspacep)
{
    static const uint64_t lo[] = {
        [MEM_GLOBAL] = 0, [MEM_SHARED] = PTX_WINDOW_SHARED, [MEM_LOCAL] = PTX_WINDOW_LOCAL,
        [MEM_PARAM] = PTX_WINDOW_PARAM};
    static const uint64_t hi[] = {
        [MEM_GLOBAL] = PTX_WINDOW_SHARED, [MEM_SHARED] = PTX_WINDOW_LOCAL,
        [MEM_LOCAL] = PTX_WINDOW_PARAM, [MEM_PARAM] = PTX_WINDOW_CODE};
    const uint64_t *a = reg64(w, u->a);
    uint32_t bits = 0;

    FOR_LANES(i, mask)
        if (a[i] >= lo[u->x[0]] && a[i] < hi[u->x[0]])
            bits |= 1u << i;
    set_pred(w, u->d, mask, bits);
    return CTL_NEXT;
}
