/* SPDX-License-Identifier: MIT */
/*
 * The commonest loads and stores of ALU_LIST; part of alu_simd.h. One element
 * of the register's own size, fields as ptx_op_ld(). They handle what lies in
 * shared memory or in one range checked before, and leave the rest, faults
 * included, to the general handlers.
 */

/* Offsets of all lanes, 0 for those that do not take part. Nonzero: leave it. */
static inline uint32_t shared_offsets(const struct warp *w, const struct uop *u, uint32_t mask,
                                      uint32_t *off)
{
    const uint32_t *a = (const uint32_t *)(const void *)(w->regs + u->a);
    uint32_t imm = (uint32_t)u->imm, limit = w->cta->shared_size - 4, bad = 0;

    if (w->cta->shared_size < 4)
        return 1;
    for (int i = 0; i < PTX_LANES; i++) {
        uint32_t o = (mask & lane_bit[i]) ? a[i] + imm : 0;

        off[i] = o;
        bad |= (o > limit ? 1u : 0u) | (o & 3);
    }
    return bad;
}

FN(lds_32)
{
    const unsigned char *base = w->cta->shared;
    uint32_t off[PTX_LANES];

    if (shared_offsets(w, u, mask, off))
        return ptx_op_ld(w, u, mask);
    LANES(uint32_t, *(const uint32_t *)(const void *)(base + off[i]));
}

FN(sts_32)
{
    const uint32_t *s = (const uint32_t *)(const void *)(w->regs + u->d);
    unsigned char *base = w->cta->shared;
    uint32_t off[PTX_LANES];

    if (shared_offsets(w, u, mask, off))
        return ptx_op_st(w, u, mask);
    if (mask == FULL_MASK) {
        for (int i = 0; i < PTX_LANES; i++)
            *(uint32_t *)(void *)(base + off[i]) = s[i];
        return CTL_NEXT;
    }
    FOR_LANES(i, mask)
        *(uint32_t *)(void *)(base + off[i]) = s[i];
    return CTL_NEXT;
}

/* Addresses inside one known run, the first taking lane's for the others. */
static inline int global_addresses(const struct warp *w, const struct uop *u, uint32_t mask,
                                   uint32_t size, int write, int64_t *addr)
{
    const int64_t *a = (const int64_t *)(const void *)(w->regs + u->a);
    int64_t first = a[__builtin_ctz(mask)], bad = 0, lo, hi;
    int k;

    for (k = 0; k < RUNS; k++) {
        lo = (int64_t)w->runs[k].lo;
        hi = (int64_t)w->runs[k].hi - size;
        if (first + u->imm >= lo && first + u->imm <= hi)
            break;
    }
    if (k == RUNS || (write && w->runs[k].read_only))
        return 0;
    for (int i = 0; i < PTX_LANES; i++) {
        int64_t at = (int64_t)((uint64_t)((mask & lane_bit[i]) ? a[i] : first) + (uint64_t)u->imm);

        addr[i] = at;
        bad |= (at < lo ? 1 : 0) | (at > hi ? 1 : 0) | (at & (int64_t)(size - 1));
    }
    return bad == 0;
}

#define GLOBAL_LOAD(name, t)                                                                      \
    FN(name)                                                                                      \
    {                                                                                             \
        int64_t addr[PTX_LANES];                                                                  \
        if (!global_addresses(w, u, mask, sizeof(t), 0, addr))                                    \
            return ptx_op_ld(w, u, mask);                                                         \
        LANES(t, *(const t *)(uintptr_t)addr[i]);                                                 \
    }
GLOBAL_LOAD(ldg_32, uint32_t)
GLOBAL_LOAD(ldg_64, uint64_t)

#define GLOBAL_STORE(name, t)                                                                     \
    FN(name)                                                                                      \
    {                                                                                             \
        const t *s = (const t *)(const void *)(w->regs + u->d);                                   \
        int64_t addr[PTX_LANES];                                                                  \
        if (!global_addresses(w, u, mask, sizeof(t), 1, addr))                                    \
            return ptx_op_st(w, u, mask);                                                         \
        if (mask == FULL_MASK) {                                                                  \
            for (int i = 0; i < PTX_LANES; i++)                                                   \
                *(t *)(uintptr_t)addr[i] = s[i];                                                  \
            return CTL_NEXT;                                                                      \
        }                                                                                         \
        FOR_LANES(i, mask)                                                                        \
            *(t *)(uintptr_t)addr[i] = s[i];                                                      \
        return CTL_NEXT;                                                                          \
    }
GLOBAL_STORE(stg_32, uint32_t)
GLOBAL_STORE(stg_64, uint64_t)
